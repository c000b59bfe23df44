/** The governor of this agent's machines. */
import { availableParallelism, totalmem } from 'node:os';
import type { Logger } from '../../base/logger.ts';
import { readHostKills, readHostMemory } from '../../host/cgroup/host-memory.ts';
import type { PoolMemory } from '../../host/cgroup/pool-memory.ts';
import type { Events } from '../events.ts';
import type { Machine } from '../machine/machine.ts';
import type { Machines } from '../machines.ts';
import { Governor } from './governor.ts';
import type { GovernedMachine } from './governor.ts';
import { tellEvents } from './tell.ts';

/** Of the host's memory, what must stay available for the host itself: half of what the allotment keeps back for it. */
const hostFloorShare = 0.025;

export const startGovernor = (memory: PoolMemory, machines: Machines, events: Events, logger: Logger): Governor => {
  const governed = ({ id, spec }: Machine): GovernedMachine => ({ id, name: spec.name, resources: spec.resources });
  const find = (id: string) => {
    const machine = machines.find(id);
    return machine === undefined || machine.run === null ? undefined : governed(machine);
  };
  return new Governor({
    memory,
    readHost: readHostMemory,
    readHostKills,
    machines: function* () {
      for (const machine of machines.all()) if (machine.run !== null) yield governed(machine);
    },
    find,
    listener: tellEvents(events, find),
    tuning: { cpus: availableParallelism(), hostFloorBytes: Math.floor(totalmem() * hostFloorShare) },
    logger,
  });
};
