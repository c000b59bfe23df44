/**
 * Makes the store agree with what the host has, after time apart: the host owns what is. Machines that only the host has are taken over
 * with their generation (the store may be an old copy); those that only the store has are shown failed, never made anew unasked.
 */
import type { MachineStatus } from '../../model/machine.ts';
import { nicsOf, placesOfNics } from '../../model/nics.ts';
import { guaranteesOf, noGuarantees } from '../../model/resources.ts';
import { systemContext as system } from '../../store/context.ts';
import { eventAppend } from '../../store/event.ts';
import type { NewEvent } from '../../store/event.ts';
import { jobListUnfinished, jobListUnfinishedByMachine } from '../../store/job.ts';
import type { StoredJob } from '../../store/job.ts';
import { machineFind, machineListAll, machineSave } from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Db, Store } from '../../store/store.ts';
import { takeClaims } from './claims.ts';
import { applyPending, applyStatus } from './report.ts';

export interface SyncResult {
  adopted: number;
  lost: number;
  changed: number;
}

const lostReason = 'the host does not know this machine';

/** `skip` are machines that a job has changed since the host was asked. */
export const syncAll = (store: Store, statuses: readonly MachineStatus[], skip: ReadonlySet<string>): Promise<SyncResult> =>
  store.transactionRepeatable(async (db) => {
    const known = new Map((await machineListAll(system, db)).map((stored) => [stored.machine.id, stored]));
    const pending = Map.groupBy(await jobListUnfinished(system, db), (stored) => stored.job.machine ?? '');
    const onHost = new Set(statuses.map((status) => status.id));
    const adopted: StoredMachine[] = [];
    const moved: StoredMachine[] = [];
    let changed = 0;
    for (const status of statuses.filter(({ id }) => !skip.has(id))) {
      const stored = known.get(status.id);
      const change = stored === undefined ? 'claims' : applyChange(stored, status, pending.get(status.id) ?? []);
      if (change !== 'none') changed += 1;
      if (stored === undefined) adopted.push(adoptedOf(status));
      else if (change === 'claims') moved.push(stored);
      else if (change === 'state') await machineSave(system, db, stored);
    }
    const lost = [...known.values()].filter(
      ({ machine }) => !onHost.has(machine.id) && !skip.has(machine.id) && machine.state !== 'failed' && !pending.has(machine.id),
    );
    for (const stored of lost) await loseMachine(db, stored);
    if (adopted.length > 0 || moved.length > 0) await takeClaims(db, adopted, moved, (id) => onHost.has(id) || skip.has(id));
    await eventAppend(system, db, [...adopted.map(adoptedEvent), ...lost.map(lostEvent)]);
    return { adopted: adopted.length, lost: lost.length, changed };
  });

/** The same for one machine; null is one that the host does not have. `whole` asks for all to be compared, since others may be concerned. */
export const syncOne = (store: Store, id: string, status: MachineStatus | null, skip: ReadonlySet<string>): Promise<'done' | 'again' | 'whole'> =>
  store.transactionRepeatable(async (db) => {
    if (skip.has(id)) return 'again';
    const stored = await machineFind(system, db, id);
    const pending = await jobListUnfinishedByMachine(system, db, id);
    if (status === null) {
      if (stored === undefined || stored.machine.state === 'failed' || pending.length > 0) return 'done';
      await loseMachine(db, stored);
      await eventAppend(system, db, [lostEvent(stored)]);
      return 'done';
    }
    if (stored === undefined) return 'whole';
    const change = applyChange(stored, status, pending);
    if (change === 'state') await machineSave(system, db, stored);
    // What a job under way has changed is settled at its end.
    return change === 'claims' && pending.length === 0 ? 'whole' : 'done';
  });

const claimsOf = ({ machine }: StoredMachine): string => JSON.stringify([machine.name, placesOfNics(nicsOf(machine)), machine.publish]);

const applyChange = (stored: StoredMachine, status: MachineStatus, pending: readonly StoredJob[]): 'none' | 'state' | 'claims' => {
  const before = [JSON.stringify(stored.machine), JSON.stringify(stored.spec), claimsOf(stored)];
  applyStatus(stored, status);
  applyPending(stored, pending);
  if (pending.length === 0) stored.reserved = guaranteesOf(status.spec.resources);
  if (claimsOf(stored) !== before[2] || stored.addresses < placesOfNics(nicsOf(stored.machine)).length) return 'claims';
  return JSON.stringify(stored.machine) === before[0] && JSON.stringify(stored.spec) === before[1] ? 'none' : 'state';
};

const adoptedOf = (status: MachineStatus): StoredMachine => {
  const { spec } = status;
  const stored: StoredMachine = {
    spec,
    reserved: guaranteesOf(spec.resources),
    held: { ...noGuarantees },
    addresses: 0,
    machine: {
      id: spec.id,
      name: spec.name,
      account: spec.account,
      state: status.state,
      desired: status.desired,
      image: spec.image,
      platform: spec.platform,
      package: null,
      resources: spec.resources,
      address: spec.address,
      publish: spec.publish,
      command: spec.command,
      env: spec.env,
      tags: spec.tags,
      restart: spec.restart,
      stopGraceSeconds: spec.stopGraceSeconds,
      createdAt: status.createdAt,
      startedAt: null,
      exit: null,
      error: null,
      restarts: 0,
      health: status.health,
      generation: status.generation,
    },
  };
  applyStatus(stored, status);
  return stored;
};

const loseMachine = async (db: Db, stored: StoredMachine): Promise<void> => {
  stored.machine.state = 'failed';
  stored.machine.error = lostReason;
  await machineSave(system, db, stored);
};

const eventOf = (type: string, { machine }: StoredMachine, message: string): NewEvent => ({
  account: machine.account,
  at: new Date().toISOString(),
  type,
  subject: machine.id,
  message: `${machine.name}: ${message}`,
  detail: { machine: machine.name },
});
const adoptedEvent = (stored: StoredMachine): NewEvent => eventOf('machine.adopted', stored, 'found on the host and taken over');
const lostEvent = (stored: StoredMachine): NewEvent => eventOf('machine.lost', stored, lostReason);
