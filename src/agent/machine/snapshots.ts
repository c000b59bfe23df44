/** Snapshots of a machine's volume: exact for one that is busy, because it stands still for the moment they take. */
import { CenoteError } from '../../base/errors.ts';
import { together } from '../../base/together.ts';
import type { MachineStatus, Snapshot } from '../../model/machine.ts';
import { nicsOf } from '../../model/nics.ts';
import type { Machine } from './machine.ts';

const missing = (machine: Machine, name: string): CenoteError =>
  new CenoteError('not_found', `${machine.spec.name} has no snapshot ${JSON.stringify(name)}`, {
    fields: [{ field: 'name', message: 'not found' }],
    advice: `see what there is: cenote snapshot ls ${machine.spec.name}`,
  });

/** One that a crash kept from being recorded is found on the disk. */
const isThere = async (machine: Machine, name: string): Promise<boolean> =>
  Object.hasOwn(machine.record.freezeMs, name) || (await machine.host.storage.snapshotNames(machine.id)).includes(name);

const hidden = (name: string): boolean => name.startsWith('.');

export const listSnapshots = async (machine: Machine): Promise<Snapshot[]> => {
  const found = await machine.host.storage.snapshotList(machine.id);
  return found.filter(({ name }) => !hidden(name)).map((snapshot) => ({ ...snapshot, freezeMs: machine.record.freezeMs[snapshot.name] ?? 0 }));
};

export const snapshotNames = async (machine: Machine): Promise<string[]> =>
  (await machine.host.storage.snapshotNames(machine.id)).filter((name) => !hidden(name));

export const createSnapshot = (machine: Machine, name: string): Promise<Snapshot> =>
  machine.turn(async () => {
    const { host, record } = machine;
    if (hidden(name))
      throw new CenoteError('invalid_argument', 'a snapshot name must not start with a dot', { fields: [{ field: 'name', message: 'starts with a dot' }] });
    if (Object.hasOwn(record.freezeMs, name))
      throw new CenoteError('already_exists', `${machine.spec.name} has a snapshot ${name} already`, { fields: [{ field: 'name', message: 'taken' }] });
    const running = machine.run !== null;
    // What can be written out before is not written while the machine stands still.
    if (running) await host.storage.commit();
    const begun = performance.now();
    if (running) await host.cgroups.freeze(machine.id);
    try {
      host.crash.reach('snapshot: frozen');
      await host.storage.snapshotCreate(machine.id, name);
      host.crash.reach('snapshot: taken');
    } finally {
      if (running) await host.cgroups.thaw(machine.id);
    }
    const freezeMs = running ? Math.round((performance.now() - begun) * 100) / 100 : 0;
    host.crash.reach('snapshot: thawed');
    record.freezeMs = { ...record.freezeMs, [name]: freezeMs }; // an assignment would lose one named __proto__
    await machine.save();
    host.events.emit('snapshot.created', machine.id, `snapshot ${name} of ${machine.spec.name}`, { snapshot: name, freezeMs });
    return { name, createdAt: new Date().toISOString(), sizeMib: 0, freezeMs };
  });

export const deleteSnapshot = (machine: Machine, name: string): Promise<void> =>
  machine.turn(async () => {
    const { host, record } = machine;
    // On record alone is one whose deletion was interrupted; on disk alone, one whose making was.
    if (!Object.hasOwn(record.freezeMs, name) && !(await isThere(machine, name))) throw missing(machine, name);
    await host.storage.snapshotDelete(machine.id, name);
    // Unlike the making of one, which is on disk when it returns: after a power loss it would be there again.
    await host.storage.commit('names');
    host.crash.reach('snapshot: deleted');
    delete record.freezeMs[name];
    await machine.save();
    host.events.emit('snapshot.deleted', machine.id, `snapshot ${name} of ${machine.spec.name} was deleted`, { snapshot: name });
  });

/**
 * The machine is killed, its volume becomes the snapshot's, and it is started again if it ran. It gets no stop signal: what it would write
 * on its way out is thrown away with the rest.
 */
export const rollbackSnapshot = (machine: Machine, generation: number, name: string): Promise<MachineStatus> =>
  machine.request(generation, 'stopping', async () => {
    const { host, record } = machine;
    if (!(await isThere(machine, name))) throw missing(machine, name);
    const wanted = record.desired;
    // What cannot come up again is not ended.
    if (wanted === 'running') await host.network.checkPublish(machine.spec.publish, nicsOf(machine.spec));
    await machine.note(); // so that recovery knows this end as asked for
    await machine.halt(0);
    host.crash.reach('rollback: stopped');
    await host.storage.snapshotRollback(machine.id, name);
    host.crash.reach('rollback: done');
    host.events.emit('snapshot.rolled-back', machine.id, `${machine.spec.name} was rolled back to ${name}`, { snapshot: name });
    // It is on disk before it is acknowledged; the start need not wait for that: until then a power loss leaves the old volume, and nobody was told.
    await together(host.storage.commit('names'), wanted === 'running' ? machine.bootAsAsked() : Promise.resolve());
  });
