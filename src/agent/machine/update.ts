/**
 * Updating a machine: another image, platform, code, environment, ports or policy, its data kept. Undone as a whole (data included,
 * where the pool can take snapshots) when the new one does not come up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, messageOf } from '../../base/errors.ts';
import type { MachineUpdate } from '../../model/agent-api.ts';
import type { MachineSpec, MachineStatus } from '../../model/machine.ts';
import type { Machine } from './machine.ts';
import { rebase } from './rebase.ts';

const safetySnapshot = '.before-update';
/** Without a health check, a machine that lives this long has come up. */
const aliveMs = 1500;
const healthDeadlineMs = 120_000;

export const updateMachine = (machine: Machine, request: MachineUpdate): Promise<MachineStatus> =>
  machine.request(request.generation, 'provisioning', async () => {
    const { host, record } = machine;
    const former = record.spec;
    const next: MachineSpec = { ...request.spec, resources: former.resources, name: former.name };
    const running = machine.run !== null;
    if (next.platform !== null || next.image.id !== former.image.id) await host.platforms.rootParts(next.image, next.platform); // refuses what is not there
    const formerConflicts = record.etcConflicts ?? [];
    if (!needsRestart(former, next) || !running) {
      if (needsRebase(former, next)) record.etcConflicts = await rebase(machine, former, next);
      await changeInPlace(machine, former, next);
      return;
    }
    await machine.halt(former.stopGraceSeconds);
    const safe = host.storage.features.snapshots;
    if (safe) {
      await host.storage.snapshotDelete(machine.id, safetySnapshot).catch(() => {});
      await host.storage.snapshotCreate(machine.id, safetySnapshot);
    }
    try {
      if (needsRebase(former, next)) record.etcConflicts = await rebase(machine, former, next);
      record.spec = next;
      await machine.boot();
      await comeUp(machine);
      host.events.emit('machine.updated', machine.id, `${next.name} was updated`, { image: next.image.name, platform: next.platform });
    } catch (error) {
      await machine.halt(0);
      if (safe) await host.storage.snapshotRollback(machine.id, safetySnapshot);
      record.spec = former;
      record.etcConflicts = formerConflicts;
      await machine.boot();
      throw new CenoteError('failed', `the update was undone: ${messageOf(error)}`, { cause: error });
    } finally {
      if (safe) await host.storage.snapshotDelete(machine.id, safetySnapshot).catch(() => {});
    }
  });

const needsRestart = (former: MachineSpec, next: MachineSpec): boolean => {
  const essence = ({ image, platform, config, command, env }: MachineSpec) => JSON.stringify([image.id, platform, config, command, Object.entries(env).toSorted()]);
  return essence(former) !== essence(next);
};

const needsRebase = (former: MachineSpec, next: MachineSpec): boolean =>
  former.image.id !== next.image.id || JSON.stringify(former.platform) !== JSON.stringify(next.platform);

const changeInPlace = async (machine: Machine, former: MachineSpec, next: MachineSpec) => {
  const { host, record, run } = machine;
  if (JSON.stringify(former.publish) !== JSON.stringify(next.publish)) {
    const added = next.publish.filter((port) => !former.publish.some((old) => old.hostPort === port.hostPort && old.protocol === port.protocol));
    await host.network.checkPublish(added);
    if (run !== null) {
      await host.ports.claim(machine.id, next.publish);
      try {
        await host.network.publish({ slot: run.slot, machine: machine.id, address: next.address, publish: next.publish });
      } catch (error) {
        await host.ports.claim(machine.id, former.publish);
        throw error;
      }
    }
  }
  record.spec = next;
  await machine.save();
  host.events.emit('machine.updated', machine.id, `${next.name} was updated`, { restarted: false });
};

const comeUp = async (machine: Machine) => {
  const checked = machine.health !== 'none';
  const deadline = performance.now() + (checked ? healthDeadlineMs : aliveMs);
  for (;;) {
    if (machine.ending) throw new CenoteError('failed', `it ended at once: ${machine.record.exit?.reason ?? 'see its logs'}`);
    if (machine.health === 'healthy') return;
    if (machine.health === 'unhealthy') throw new CenoteError('failed', 'its health check failed');
    if (performance.now() > deadline) {
      if (!checked) return;
      throw new CenoteError('timeout', `its health check did not pass within ${healthDeadlineMs / 1000} s`);
    }
    await sleep(50);
  }
};
