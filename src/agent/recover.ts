/**
 * What the agent does when it starts: machines that run are taken over as they are; what a crash left half done is finished or
 * undone; what no record speaks of is removed. After a reboot nothing runs, and machines come back as last requested.
 */
import { messageChain } from '../base/errors.ts';
import type { Connection } from '../host/network/network.ts';
import type { Host } from './host.ts';
import { processOf } from './machine/process.ts';
import { resumeDelete } from './machine/create-delete.ts';
import type { Machine } from './machine/machine.ts';
import type { Machines } from './machines.ts';
import { rootMount, takeDown } from './machine/run.ts';
import { unmountRoot } from '../host/rootfs/rootfs.ts';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../base/errno.ts';

export interface Recovered {
  adopted: number;
  toStart: Machine[];
}

export const recover = async (host: Host, machines: Machines): Promise<Recovered> => {
  for (const record of host.journal.loadMachines()) machines.add(record);
  host.runtime.onExit((exit) => machines.find(exit.machine)?.ended(exit));
  const running = await adopt(host, machines);
  await removeStrays(host, machines, running);
  const toStart: Machine[] = [];
  for (const machine of machines.all()) {
    const { record } = machine;
    if (record.phase === 'deleting') {
      await resumeDelete(machine);
      await machines.delete(machine.id, record.generation);
    } else if (record.phase === 'ready' && machine.run === null && record.desired === 'running') {
      toStart.push(machine);
    }
    // `creating` was never acknowledged: the control plane's repeat finishes it, or its delete removes it.
  }
  return { adopted: running.size, toStart };
};

const adopt = async (host: Host, machines: Machines): Promise<Set<string>> => {
  const meant = [...machines.all()].filter(({ record }) => record.slot !== null && record.phase === 'ready' && record.desired === 'running');
  const alive = await host.runtime.restore(meant.map(({ id }) => id));
  const connections: Connection[] = [];
  const adopted = new Set<string>();
  for (const machine of meant) {
    const process = alive.get(machine.id);
    const { record, spec } = machine;
    if (process === undefined || record.slot === null || !host.runtime.started(machine.id)) continue;
    // A number may have gone to another process since: only one in the machine's own group is the machine's.
    if (!(await host.cgroups.processes(machine.id)).includes(process.pid)) continue;
    connections.push({ slot: record.slot, machine: machine.id, address: spec.address, publish: spec.publish });
    machine.adopt({ slot: record.slot, process, defaults: processOf(spec, `/proc/${process.pid}/root`) });
    adopted.add(machine.id);
  }
  await host.network.restore(connections, []);
  await host.ports.restore(connections.map(({ machine, publish }) => ({ machine, ports: publish })));
  await host.sandboxes.restore(connections.map(({ slot }) => slot));
  return adopted;
};

/** Everything of a run that is not adopted goes, for known machines and unknown ones alike. */
const removeStrays = async (host: Host, machines: Machines, running: Set<string>) => {
  const seen = new Set([
    ...(await host.cgroups.list()),
    ...entries(join(host.runDirectory, 'roots')),
    ...entries(join(host.runDirectory, 'bundles')),
    ...entries(join(host.runDirectory, 'files')),
  ]);
  for (const id of seen) {
    if (running.has(id)) continue;
    host.logger.info({ machine: id }, 'removing what a run has left');
    await takeDown(host, id, null);
  }
  for (const id of running) unmountRoot(rootMount(host, id));
  for (const id of entries(join(host.runDirectory, 'copies'))) unmountRoot(join(host.runDirectory, 'copies', id));
  for (const machine of machines.all()) {
    if (machine.run === null && machine.record.slot !== null) {
      machine.record.slot = null;
      await machine.save();
    }
  }
  for (const volume of await host.storage.volumeList()) {
    if (machines.find(volume) === undefined) await host.storage.volumeDelete(volume);
  }
};

/** Starts what should run, without holding up the API; each failure is recorded with its machine. */
export const startAll = async (host: Host, machines: readonly Machine[]): Promise<void> => {
  await Promise.all(
    machines.map((machine) =>
      machine
        .turn(async () => {
          try {
            await machine.boot();
          } catch {
            machine.scheduleRestart(1000); // boot has recorded why
          } finally {
            await machine.save();
          }
        })
        .catch((error: unknown) => host.logger.error({ machine: machine.id, error: messageChain(error) }, 'a machine could not be brought back')),
    ),
  );
};

const entries = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};
