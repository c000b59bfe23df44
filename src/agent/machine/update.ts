/**
 * Updating a machine: another image, platform, code, environment, ports or policy, its data kept. Undone as a whole (data included,
 * where the pool can take snapshots) when the new one does not come up. Code is taken in while the old one runs, however long it is on its way.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, messageChain, messageOf } from '../../base/errors.ts';
import type { MachineUpdate } from '../../model/agent-api.ts';
import type { MachineSpec, MachineStatus } from '../../model/machine.ts';
import { checkMetadataSize, mergeNamed } from '../../model/metadata.ts';
import { addressesOf, nicsOf } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import { firewallMachine } from '../firewall.ts';
import type { Machine } from './machine.ts';
import type { MachineRecord } from './record.ts';
import { unpackInto } from './files.ts';
import { rebase } from './rebase.ts';
import { writeFiles } from './run.ts';

const safetySnapshot = '.before-update';
/** Without a health check, a machine whose program lives this long has come up. On a host with much to do it may be long until it begins. */
const aliveMs = 1500;
const beginDeadlineMs = 60_000;
const healthDeadlineMs = 120_000;

const codePath = '/app';

/** A tar stream; null: it was sent once, and what was made of it is not known. */
export interface NewCode {
  content: Readable | null;
  signal: AbortSignal;
}

export const updateMachine = (machine: Machine, request: MachineUpdate, code?: NewCode): Promise<MachineStatus> =>
  machine.request(request.generation, code === undefined ? 'provisioning' : null, async () => {
    const { host, record } = machine;
    const former = record.spec;
    const metadata = request.metadata === undefined ? former.metadata : checkMetadataSize(mergeNamed(former.metadata ?? {}, request.metadata));
    const { metadata: _, ...asked } = request.spec;
    const next: MachineSpec = { ...asked, resources: former.resources, name: former.name, ...(metadata === undefined ? {} : { metadata }) };
    const running = machine.run !== null;
    if (next.platform !== null || next.image.id !== former.image.id) await host.platforms.rootParts(next.image, next.platform); // refuses what is not there
    const formerConflicts = record.etcConflicts ?? [];
    if (code === undefined && (!needsRestart(former, next) || !running)) {
      if (needsRebase(former, next)) record.etcConflicts = await rebase(machine, former, next);
      await changeInPlace(machine, former, next);
      return;
    }
    // What cannot come up again is not ended.
    await host.network.checkPublish(next.publish, nicsOf(next));
    if (code !== undefined) demandCode(machine, code);
    // It would be this one's way back.
    if (record.updating !== undefined) throw new CenoteError('failed', 'what the last update has kept cannot be removed yet; see the agent’s log');
    record.updating = { former, formerConflicts, over: false };
    try {
      await machine.save();
    } catch (error) {
      delete record.updating; // nothing has been done yet
      throw error;
    }
    try {
      if (code === undefined) await machine.halt(former.stopGraceSeconds);
      host.crash.reach('update: stopped');
      await takeSafety(machine);
      host.crash.reach('update: safe');
      if (code !== undefined) {
        await unpackInto(machine, codePath, code.content!, code.signal);
        host.crash.reach('update: code is there');
        await machine.halt(former.stopGraceSeconds);
      }
      if (needsRebase(former, next)) record.etcConflicts = await rebase(machine, former, next);
      record.spec = next;
      if (running) {
        machine.forgetFailures();
        await machine.boot();
        await comeUp(machine);
      }
      host.crash.reach('update: up');
      host.events.emit('machine.updated', machine.id, `${next.name} was updated`, { image: next.image.name, platform: next.platform });
    } catch (error) {
      await goBack(machine, record.updating);
      if (running) await machine.boot();
      throw new CenoteError('failed', `the update was undone: ${messageOf(error)}`, { cause: error });
    }
    await endUpdate(machine, record.updating);
  });

/** Where this fails too, the way back stays open: it is gone before anything else is done with the machine. */
const goBack = async (machine: Machine, updating: Updating): Promise<void> => {
  const { host, record } = machine;
  // What it is to be again, whatever comes of it: the new specification is not in force.
  [record.spec, record.etcConflicts] = [updating.former, updating.formerConflicts];
  try {
    await machine.halt(0);
    host.crash.reach('update: failed');
    await restoreData(machine);
    await endUpdate(machine, updating);
  } catch (error) {
    record.error = `an update that failed could not be undone yet: ${messageOf(error)}`;
    throw new CenoteError('failed', record.error, { cause: error, advice: `try again: cenote start ${machine.spec.name}` });
  }
};

/** Refused before anything has changed. */
const demandCode = ({ host, spec }: Machine, { content }: NewCode): void => {
  if (!host.storage.features.snapshots)
    throw new CenoteError('unsupported', `the pool takes no snapshots, so ${spec.name} could not be brought back to its former code`, {
      advice: `copy it over the old and restart: cenote cp DIR/. ${spec.name}:${codePath}; cenote reboot ${spec.name}`,
    });
  if (content === null) throw new CenoteError('failed', 'the code was lost on its way; send it again');
};

/** What runs stands still for the moment that it takes. */
const takeSafety = async ({ host, id, run }: Machine): Promise<void> => {
  if (!host.storage.features.snapshots) return;
  if (run !== null) {
    await host.storage.commit();
    await host.cgroups.freeze(id);
  }
  try {
    await host.storage.snapshotCreate(id, safetySnapshot);
  } finally {
    if (run !== null) await host.cgroups.thaw(id);
  }
  await host.storage.commit();
};

/** What a crash cut short, or could not be undone when it failed, is undone before anything else, which then finds what the first found. */
export const undoUpdate = async (machine: Machine): Promise<void> => {
  const { host, record } = machine;
  const { updating } = record;
  if (updating === undefined) return;
  if (updating.over) {
    // It is in force, and only what was kept for the way back is still there.
    return endUpdate(machine, updating).catch((error: unknown) =>
      host.logger.error({ machine: machine.id, error: messageChain(error) }, 'what an update kept could not be removed yet'),
    );
  }
  await goBack(machine, updating);
  if (record.error !== null) record.error = 'an update of it failed and was undone; it has not been started since';
  await machine.save();
};

type Updating = NonNullable<MachineRecord['updating']>;

const restoreData = async ({ host, id }: Machine): Promise<void> => {
  // Without the snapshot nothing of the data has been changed yet.
  if (!host.storage.features.snapshots || !(await host.storage.snapshotNames(id)).includes(safetySnapshot)) return;
  await host.storage.snapshotRollback(id, safetySnapshot);
  host.crash.reach('update: rolled back');
  await host.storage.commit();
};

/** What is to be is on record before the way back is closed; the record's own mark goes with the next save. */
const endUpdate = async (machine: Machine, updating: Updating) => {
  const { host, record } = machine;
  updating.over = true;
  await machine.save();
  host.crash.reach('update: over');
  if (host.storage.features.snapshots) {
    await host.storage.snapshotDelete(machine.id, safetySnapshot);
    // Were it there again after a power loss, it would be the next update's way back, to data of long before.
    await host.storage.commit('names');
  }
  delete record.updating;
};

const needsRestart = (former: MachineSpec, next: MachineSpec): boolean => {
  const essence = ({ image, platform, config, command, env }: MachineSpec) =>
    JSON.stringify([image.id, platform, config, command, Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
  return essence(former) !== essence(next);
};

const needsRebase = (former: MachineSpec, next: MachineSpec): boolean =>
  former.image.id !== next.image.id || JSON.stringify(former.platform) !== JSON.stringify(next.platform);

const changeInPlace = async (machine: Machine, former: MachineSpec, next: MachineSpec) => {
  const { host, record, run } = machine;
  if (JSON.stringify(former.publish) !== JSON.stringify(next.publish)) {
    const added = next.publish.filter((port) => !former.publish.some((old) => old.hostPort === port.hostPort && old.protocol === port.protocol));
    host.network.demandReached(added, nicsOf(next));
    await host.network.checkPublish(added, nicsOf(next));
    if (run !== null) {
      await host.ports.claim(machine.id, next.publish);
      try {
        await host.network.publish({ slot: run.slot, machine: machine.id, address: former.address, publish: next.publish });
      } catch (error) {
        await host.ports.claim(machine.id, former.publish);
        throw error;
      }
    }
  }
  await changeNics(machine, former, next);
  record.spec = next;
  await machine.conclude();
  host.events.emit('machine.updated', machine.id, `${next.name} was updated`, { restarted: false });
};

/** Those that there are next, as they are then where nothing goes. */
const nicsOfBoth = (former: readonly Nic[], next: readonly Nic[]): Nic[] => {
  const had = new Map(former.map((nic) => [nic.network, nic]));
  const kept = next.map((nic) => {
    const gone = (had.get(nic.network)?.more ?? []).filter((address) => !addressesOf(nic).includes(address));
    return gone.length === 0 ? nic : { ...nic, more: [...(nic.more ?? []), ...gone] };
  });
  return [...kept, ...former.filter(({ network }) => !next.some((nic) => nic.network === network))];
};

/** The firewall knows an address before its first packet, and for as long as it has one. */
const changeNics = async (machine: Machine, former: MachineSpec, next: MachineSpec) => {
  const { host, run } = machine;
  const { firewall } = host.network;
  const [before, now] = [nicsOf(former), nicsOf(next)];
  const isChanged = JSON.stringify(before) !== JSON.stringify(now);
  if (run === null || !isChanged) return firewall.setMachine(firewallMachine(next));
  // Perhaps in another family now.
  await host.network.checkPublish(next.publish, now);
  const both = nicsOfBoth(before, now);
  await firewall.setMachine({ ...firewallMachine(next), nics: both });
  host.crash.reach('nics: known to the firewall');
  const { address, nics, publish, resources } = next;
  try {
    await host.network.setNics({ slot: run.slot, machine: machine.id, address, nics, publish }, run.process.pid, resources.networkCeilingMbps);
  } catch (error) {
    await firewall.setMachine(firewallMachine(former));
    throw error;
  }
  host.crash.reach('nics: connected');
  // The files are the machine's as they are: what is written anew here is read there.
  writeFiles(host, next);
  if (both.some((nic) => !now.includes(nic))) await firewall.setMachine(firewallMachine(next));
};

const comeUp = async (machine: Machine) => {
  const checked = machine.health !== 'none';
  const begun = performance.now();
  let deadline = begun + (checked ? healthDeadlineMs : aliveMs);
  for (;;) {
    const now = performance.now();
    if (!checked && now - begun < beginDeadlineMs && !machine.host.runtime.executes(machine.id)) deadline = now + aliveMs;
    if (machine.ending !== null) throw new CenoteError('failed', `it ended at once: ${machine.ending}; see its logs`);
    if (machine.health === 'healthy') return;
    if (machine.health === 'unhealthy') throw new CenoteError('failed', `its health check failed: ${machine.healthReason}`);
    if (now > deadline) {
      if (!checked) return;
      throw new CenoteError('timeout', `its health check did not pass within ${healthDeadlineMs / 1000} s`);
    }
    await sleep(50);
  }
};
