/**
 * What the agent does when it starts: machines that run are taken over as they are; what a crash left half done is finished or
 * undone; what no record speaks of is removed. After a reboot nothing runs, and machines come back as last requested.
 */
import { messageChain, messageOf } from '../base/errors.ts';
import { givenOomScore } from '../host/cgroup/oom-score.ts';
import type { KeptConnection } from '../host/network/network.ts';
import type { FirewallRules } from './firewall.ts';
import type { Host } from './host.ts';
import { processOf } from './machine/process.ts';
import type { KnownNetworks } from './networks.ts';
import type { Machine } from './machine/machine.ts';
import type { Machines } from './machines.ts';
import { rootMount, takeDown } from './machine/run.ts';
import { undoUpdate } from './machine/update.ts';
import type { RuntimeExit } from '../host/runtime/runtime.ts';
import type { ExecProcess } from '../host/runtime/runtime.ts';
import type { MachineSpec } from '../model/machine.ts';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../base/errno.ts';

/** Less than the agent's unit has to stop in. */
const shutdownGraceSeconds = 60;

export interface Recovered {
  adopted: Machine[];
  /** To be started, once the API serves. */
  toStart: Machine[];
  /** A stop that a crash cut short: still running, and to have its grace period. */
  toStop: Machine[];
}

export const recover = async (host: Host, machines: Machines, networks: KnownNetworks, firewall: FirewallRules): Promise<Recovered> => {
  for (const record of host.journal.loadMachines()) machines.add(record);
  await networks.restore(Array.from(machines.all(), ({ spec }) => spec));
  const unwatched = new Map<string, RuntimeExit>();
  host.runtime.onExit((exit) => {
    const machine = machines.find(exit.machine);
    if (machine?.run === null) unwatched.set(exit.machine, exit);
    else machine?.ended(exit);
  });
  const running = await adopt(host, machines);
  await firewall.restore(Array.from(machines.all(), ({ spec }) => spec));
  host.crash.reach('recovery: adopted');
  const judged = await takeEnds(machines, unwatched);
  const stuck = await removeStrays(host, machines, running);
  host.crash.reach('recovery: strays removed');
  const toStart: Machine[] = [];
  for (const machine of Array.from(machines.all())) {
    const { record } = machine;
    const why = stuck.get(machine.id);
    if (why !== undefined) {
      record.error = why;
      continue;
    }
    await settle(host, machines, machine);
    // `creating` was never acknowledged: the control plane's repeat finishes it, or its delete removes it.
    if (record.phase !== 'ready' || machine.run !== null) continue;
    if (judged.has(machine)) await machine.judgeEnd();
    else if (record.desired === 'running') toStart.push(machine);
  }
  const toStop = [...machines.all()].filter((machine) => machine.run !== null && machine.record.desired === 'stopped');
  return { adopted: [...machines.all()].filter(({ id }) => running.has(id)), toStart, toStop };
};

/** Records how machines ended while no agent ran. Those that ended by themselves are to be judged as any end; the others were being stopped. */
const takeEnds = async (machines: Machines, unwatched: ReadonlyMap<string, RuntimeExit>): Promise<Set<Machine>> => {
  const judged = new Set<Machine>();
  for (const exit of unwatched.values()) {
    const machine = machines.find(exit.machine);
    if (machine === undefined) continue;
    await machine.endedUnwatched(exit);
    if (machine.record.desired === 'running' && machine.record.outcome !== null) judged.add(machine);
  }
  return judged;
};

/** Finishes or undoes what a crash left half done. One that cannot be settled does not keep the others from being served. */
const settle = async (host: Host, machines: Machines, machine: Machine): Promise<void> => {
  const { record } = machine;
  try {
    if (record.phase === 'deleting') {
      record.outcome = null; // a failure of the former try is no answer to this one
      await machines.delete(machine.id, record.generation);
    }
    await undoUpdate(machine);
  } catch (error) {
    record.error = messageOf(error);
    host.logger.error({ machine: machine.id, error: messageChain(error) }, 'what a crash left half done could not be settled');
  }
};

const adopt = async (host: Host, machines: Machines): Promise<Set<string>> => {
  const meant = [...machines.all()].filter(({ record }) => record.slot !== null && record.phase === 'ready' && record.updating === undefined);
  const alive = await host.runtime.restore(meant.map(({ id }) => id));
  const connections: KeptConnection[] = [];
  const adopted = new Set<string>();
  for (const machine of meant) {
    const process = alive.get(machine.id);
    const { record, spec } = machine;
    if (process === undefined || record.slot === null || !host.runtime.started(machine.id)) continue;
    // A number may have gone to another process since: only one in the machine's own group is the machine's.
    if (!(await host.cgroups.processes(machine.id)).includes(process.pid)) continue;
    const { address, nics, publish, resources } = spec;
    const { networkMbps: guaranteeMbps, networkCeilingMbps: ceilingMbps } = resources;
    connections.push({ slot: record.slot, machine: machine.id, address, nics, publish, pid: process.pid, ceilingMbps, guaranteeMbps });
    machine.adopt({ slot: record.slot, process, defaults: onceAsked(() => execDefaults(host, spec, process.pid)) });
    adopted.add(machine.id);
    await host.cgroups.thaw(machine.id); // a crash in the middle of a snapshot leaves it frozen
  }
  await host.network.restore(connections, []);
  await host.ports.restore(connections.map(({ machine, publish }) => ({ machine, ports: publish })));
  await host.sandboxes.restore(connections.map(({ slot }) => slot));
  return adopted;
};

/** A machine may have spoilt its own accounts since it started; that must not keep the agent from starting. */
const execDefaults = (host: Host, spec: MachineSpec, pid: number): ExecProcess => {
  const root = `/proc/${pid}/root`;
  try {
    return processOf(spec, root);
  } catch (error) {
    host.logger.warn({ machine: spec.id, error: messageChain(error) }, 'its user cannot be found in it any more; commands run as root inside');
    return processOf(spec, root, '0:0');
  }
};

const onceAsked = <Value>(make: () => Value): (() => Value) => {
  let value: Value | undefined;
  return () => (value ??= make());
};

/**
 * Limits and scores follow the record and the pool: a crash in the middle of a resize leaves a machine with others, and so does a pool that has
 * become smaller or larger. Of a thousand machines it takes a while, and nobody need wait for it; nor does it wait for what a machine is busy
 * with, which may be a copy without end.
 */
export const limitAsRecorded = async ({ cgroups, logger }: Host, machines: readonly Machine[]): Promise<void> => {
  for (const machine of machines) {
    using _mine = await machine.limits.acquire();
    const { id, run } = machine;
    if (run === null) continue;
    const { resources } = machine.spec;
    const former = givenOomScore(run.process.pid);
    const done = await Promise.allSettled([
      cgroups.apply(id, resources),
      former === null ? undefined : cgroups.rescore(id, former, cgroups.oomScore(resources.memoryMib)),
    ]);
    for (const one of done)
      // Its groups go while it ends.
      if (one.status === 'rejected' && machine.run !== null)
        logger.warn({ machine: id, error: messageChain(one.reason) }, 'limits could not be set as recorded');
  }
};

/** Everything of a run that is not adopted goes, for known machines and unknown ones alike. Told is of whom something stays, and why. */
const removeStrays = async (host: Host, machines: Machines, running: Set<string>): Promise<ReadonlyMap<string, string>> => {
  const stuck = new Map<string, string>();
  for (const machine of machines.all()) {
    if (machine.run === null && machine.record.slot !== null) {
      machine.record.slot = null;
      await machine.save();
    }
  }
  const seen = new Set([
    ...(await host.cgroups.list()),
    ...entries(join(host.runDirectory, 'roots')),
    ...entries(join(host.runDirectory, 'bundles')),
    ...entries(join(host.runDirectory, 'files')),
  ]);
  for (const id of seen) {
    if (running.has(id)) continue;
    host.logger.info({ machine: id }, 'removing what a run has left');
    try {
      await (machines.find(id)?.clean() ?? takeDown(host, id, null));
    } catch (error) {
      stuck.set(id, messageOf(error));
      host.logger.error({ machine: id, error: messageChain(error) }, 'what a run has left could not be removed; the others are served');
    }
  }
  for (const id of running) await host.roots.unmount(rootMount(host, id));
  for (const id of entries(join(host.runDirectory, 'copies'))) await host.roots.unmount(join(host.runDirectory, 'copies', id));
  const volumes = await host.storage.volumeList();
  if (volumes.length > 0 && host.journal.isEmpty()) {
    host.logger.error(
      { volumes: volumes.length },
      'the journal is empty, but the pool has volumes: they are kept, since a lost journal is no reason to delete data',
    );
    return stuck;
  }
  for (const volume of volumes) {
    if (machines.find(volume) !== undefined) continue;
    // A tombstone says that it was to go. Without one the journal may be an old copy: data is not thrown away on its word.
    if (host.journal.tombstone(volume) !== null || (await hasNothing(host, volume))) await host.storage.volumeDelete(volume);
    else host.logger.warn({ volume, path: host.storage.volumePath(volume) }, 'a volume of a machine that the journal does not know is left as it is');
  }
  return stuck;
};

/** Of a machine that was being made when power was lost. */
const hasNothing = async ({ storage }: Host, volume: string): Promise<boolean> => {
  const upper = join(storage.volumePath(volume), 'upper');
  return existsSync(upper) && entries(upper).length === 0 && (await storage.snapshotNames(volume)).length === 0;
};

export const stopAll = async (host: Host, machines: readonly Machine[]): Promise<void> => {
  await Promise.all(
    machines.map((machine) =>
      machine
        .turn(async () => {
          if (machine.record.desired !== 'stopped') return; // a newer request came first
          await machine.halt(machine.spec.stopGraceSeconds);
          await machine.save();
        }, Infinity)
        .catch((error: unknown) => host.logger.error({ machine: machine.id, error: messageChain(error) }, 'a stop could not be finished')),
    ),
  );
};

/** Each in its own way, as far as the host has time for it; what is wanted of them stays, so that they are back after the boot. */
export const haltForShutdown = async (host: Host, machines: Machines): Promise<void> => {
  const running = Array.from(machines.all()).filter(({ run }) => run !== null);
  host.logger.info({ machines: running.length }, 'the host shuts down: machines stop first');
  await Promise.all(
    running.map((machine) =>
      machine
        .turn(async () => {
          await machine.halt(Math.min(machine.spec.stopGraceSeconds, shutdownGraceSeconds));
          await machine.save();
        }, Infinity)
        .catch((error: unknown) => host.logger.error({ machine: machine.id, error: messageChain(error) }, 'a machine could not be stopped for the shutdown')),
    ),
  );
};

/** Starts what should run, without holding up the API; each failure is recorded with its machine. */
export const startAll = async (host: Host, machines: readonly Machine[]): Promise<void> => {
  await Promise.all(
    machines.map((machine) =>
      machine
        .turn(async () => {
          if (machine.record.desired !== 'running') return; // a newer request came first
          try {
            await machine.boot();
          } catch {
            machine.bootLater(); // boot has recorded why
          } finally {
            await machine.save();
          }
        }, Infinity)
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
