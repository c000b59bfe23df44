/** The governor of this agent's machines: memory, whenever it is the agent's turn, and metered bursting. */
import type { Logger } from '../../base/logger.ts';
import { readHostKills, readHostMemory } from '../../host/cgroup/host-memory.ts';
import { readHostTime } from '../../host/metrics/host-clock.ts';
import type { PoolControls } from '../../host/cgroup/open.ts';
import type { AgentTurn } from '../../host/cgroup/turn.ts';
import type { BurstUsage } from '../../model/machine.ts';
import type { Events } from '../events.ts';
import type { Journal } from '../journal.ts';
import type { Machine } from '../machine/machine.ts';
import type { Machines } from '../machines.ts';
import { Governor } from './governor.ts';
import type { GovernedMachine } from './governor.ts';
import { keptEventsPath, tellKept } from './kept-events.ts';
import { CpuMeter } from './meter.ts';
import { tellEvents, tellMeter } from './tell.ts';
import { hostTuning } from './tuning.ts';
import { governInTurns } from './turns.ts';

export interface Governing extends AsyncDisposable {
  burstUsage(machine: Machine): BurstUsage | null;
}

export const startGovernor = (
  { memory, cpu, pressure }: PoolControls,
  mostBytes: () => number,
  machines: Machines,
  events: Events,
  journal: Journal,
  turn: AgentTurn,
  logger: Logger,
): Governing => {
  const governed = ({ id, spec, limits }: Machine): GovernedMachine => ({ id, name: spec.name, resources: spec.resources, limits });
  const running = function* () {
    for (const machine of machines.all()) if (machine.run !== null) yield governed(machine);
  };
  const findAny = (id: string) => {
    const machine = machines.find(id);
    return machine === undefined ? undefined : governed(machine);
  };
  const find = (id: string) => (machines.find(id)?.run === null ? undefined : findAny(id));
  const tuning = hostTuning();
  const up = new AsyncDisposableStack();
  const begin = (): Governor => {
    tellKept(keptEventsPath(turn.place.directory), events);
    return new Governor({
      memory,
      mostBytes,
      readHost: readHostMemory,
      readHostKills,
      machines: running,
      find,
      listener: tellEvents(events, find, pressure),
      tuning,
      keepTurn: () => turn.keep(),
      logger,
    });
  };
  up.use(governInTurns(turn, begin, logger));
  const all = Array.from(machines.all(), governed);
  const listener = tellMeter(events, find);
  const meter = up.use(new CpuMeter({ cpu, cpus: tuning.cpus, machines: all, find: findAny, record: journal, readHostTime, listener, logger }));
  up.use(events.listen(({ subject }) => meter.attend(subject)));
  return { burstUsage: (machine) => meter.usage(governed(machine)), [Symbol.asyncDispose]: () => up.disposeAsync() };
};
