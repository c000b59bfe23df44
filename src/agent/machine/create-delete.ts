/** The first and the last of a machine's actions. */
import { together } from '../../base/together.ts';
import type { MachineCreate } from '../../model/agent-api.ts';
import type { MachineStatus } from '../../model/machine.ts';
import type { Machine } from './machine.ts';

/**
 * Volume, then the first start when it is to run. A machine that was made but did not start is there, `failed`, with the reason.
 * The volume is on disk before anything is acknowledged; the start need not wait for that, so the machine is `creating` until both are done.
 */
export const createMachine = (machine: Machine, request: MachineCreate): Promise<MachineStatus> =>
  machine.request(request.generation, 'provisioning', async () => {
    const { host, record } = machine;
    // A former try whose failure may pass has put it at rest.
    record.desired = request.desired;
    if (record.phase === 'creating') {
      // Known before anything is made: of what the journal does not know recovery removes only what is empty.
      await (record.origin === null ? machine.note() : machine.save());
      host.crash.reach('create: recorded');
      await host.storage.volumeCreate(machine.id, {
        quotaMib: record.spec.resources.diskMib,
        from: record.origin === null ? undefined : { volume: record.origin.machine, snapshot: record.origin.name },
      });
      host.crash.reach('create: volume made');
      host.events.emit('machine.created', machine.id, `${record.spec.name} was created`, { image: record.spec.image.name });
    }
    try {
      await together(host.storage.commit('names'), record.desired === 'running' ? machine.bootAsAsked() : Promise.resolve());
    } finally {
      record.phase = 'ready';
    }
  });

/** From the first save on it will be finished, whatever happens: recovery takes it up again. */
export const deleteMachine = async (machine: Machine, generation: number): Promise<void> => {
  await machine.request(Math.max(generation, machine.record.generation + (machine.record.phase === 'deleting' ? 0 : 1)), 'deleting', async () => {
    const { host, record } = machine;
    record.phase = 'deleting';
    record.desired = 'stopped';
    delete record.updating; // its way back goes with it
    await machine.save();
    await finishDelete(machine);
    host.events.emit('machine.deleted', machine.id, `${record.spec.name} was deleted`);
  });
};

const finishDelete = async (machine: Machine): Promise<void> => {
  const { host } = machine;
  await machine.destroyRun();
  host.crash.reach('delete: before the firewall');
  await host.network.firewall.removeMachine(machine.id);
  host.crash.reach('delete: before the volume');
  await host.storage.volumeDelete(machine.id);
  host.crash.reach('delete: before the logs');
  await host.runtime.forget(machine.id);
  host.crash.reach('delete: before the tombstone');
  await host.journal.buryMachine(machine.id, machine.record.generation);
  machine.retire();
};
