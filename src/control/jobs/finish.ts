/**
 * The end of a job: the machine as the host now has it, the job's outcome and the event, in one transaction. Of the claims made for the action
 * those stay that the machine, or an action still waiting, needs.
 */
import type { CenoteError } from '../../base/errors.ts';
import type { Accepted } from '../../model/control-api.ts';
import type { Job } from '../../model/event.ts';
import type { MachineStatus } from '../../model/machine.ts';
import { subnetOf } from '../../model/network.ts';
import type { Nic } from '../../model/network.ts';
import { nicsOf, placesOfNics } from '../../model/nics.ts';
import { guaranteesOf, noGuarantees } from '../../model/resources.ts';
import { placeOf } from '../../model/subnet.ts';
import { addressRelease } from '../../store/address.ts';
import { systemContext as system } from '../../store/context.ts';
import { deletedMachineInsert } from '../../store/deleted-machine.ts';
import { eventAppend } from '../../store/event.ts';
import { ownedImageFail } from '../../store/image.ts';
import { jobFinish, jobGet, jobListUnfinishedByMachine } from '../../store/job.ts';
import type { StoredJob } from '../../store/job.ts';
import { machineFind, machineRemove, machineSave, machineSaveTags, machineSettleClaims } from '../../store/machine.ts';
import type { Claims, StoredMachine } from '../../store/machine.ts';
import { networkListByIds } from '../../store/network.ts';
import type { Db, Store } from '../../store/store.ts';
import { applyStatus, applyPending } from '../agent/report.ts';
import type { Outcome } from './execute.ts';
import type { Action, JobRequests } from './request.ts';

/** What the host says of the machine after a failed action: null when it has none of that id, undefined when it did not say. */
export type Found = MachineStatus | null | undefined;

export const finishSucceeded = (store: Store, stored: StoredJob, owner: string, outcome: Outcome): Promise<Accepted> =>
  store.transactionRepeatable(async (db) => {
    const job: Job = { ...stored.job, state: 'succeeded', finishedAt: new Date().toISOString(), reason: null };
    job.result = { ...outcome.result, milliseconds: Date.parse(job.finishedAt!) - Date.parse(job.createdAt) };
    if (!(await jobFinish(system, db, job, owner))) return recorded(db, job);
    const target = await machineFind(system, db, job.machine!);
    await eventAppend(system, db, [eventOf(job, target)]);
    if (target === undefined) return { job, machine: null };
    if (outcome.deleted) {
      await deletedMachineInsert(system, db, target.machine, job.finishedAt!);
      await machineRemove(system, db, target.machine.id);
      return { job, machine: null };
    }
    if (outcome.status !== undefined) applyStatus(target, outcome.status);
    else target.machine.error = null;
    if (job.action === 'resize') {
      const { package: taken } = stored.request as JobRequests['resize'];
      if (taken !== null) target.machine.package = { name: taken.name, version: taken.version };
    }
    if (!beside.has(job.action as Action)) target.machine.updatedAt = job.finishedAt!;
    await settle(db, target, job.action as Action, true);
    return { job, machine: target.machine };
  });

export const finishFailed = (store: Store, stored: StoredJob, owner: string, error: CenoteError, found: Found): Promise<Accepted> =>
  store.transactionRepeatable(async (db) => {
    const job: Job = { ...stored.job, state: 'failed', finishedAt: new Date().toISOString(), reason: error.message, result: { error: error.toBody() } };
    if (!(await jobFinish(system, db, job, owner))) return recorded(db, job);
    if (job.action === 'image.create') await ownedImageFail(system, db, (stored.request as JobRequests['image.create']).image, error.message);
    const target = await machineFind(system, db, job.machine!);
    await eventAppend(system, db, [eventOf(job, target)]);
    if (target === undefined) return { job, machine: null };
    applyFailure(target, job, error, found);
    await settle(db, target, job.action as Action, false);
    return { job, machine: target.machine };
  });

/** It had ended before: the commit's own answer was lost. What was recorded then stands. */
const recorded = async (db: Db, job: Job): Promise<Accepted> => {
  const target = await machineFind(system, db, job.machine!);
  return { job: await jobGet(system, db, job.id), machine: target?.machine ?? null };
};

const applyFailure = (target: StoredMachine, job: Job, error: CenoteError, found: Found): void => {
  const { machine } = target;
  if (found !== null && found !== undefined) {
    applyStatus(target, found);
    if (job.action === 'create') machine.state = 'failed';
    if (machine.state === 'failed') machine.error ??= error.message;
    return;
  }
  machine.error = found === null && job.action !== 'create' ? `the host does not know this machine (${job.action}: ${error.message})` : error.message;
  // A host that cannot be asked may well have the machine running: then only the error is news.
  if (found === null || job.action === 'create' || machine.state === 'deleting') machine.state = 'failed';
  // Nothing was made, so nothing is held but the name and the address, until the person has seen why and deletes it.
  if (found === null && job.action === 'create') target.reserved = { ...noGuarantees };
};

/** What makes or takes something of a machine and leaves it as it is. */
const beside: ReadonlySet<Action> = new Set(['image.create', 'snapshot.create', 'snapshot.delete']);
const placing: ReadonlySet<Action> = new Set(['nic.add', 'nic.remove', 'address.add', 'address.remove']);
const claiming: ReadonlySet<Action> = new Set(['update', 'rename']);

const claimsOf = (pending: readonly StoredJob[]): Claims => ({
  names: pending.flatMap(({ job, request }) => (job.action === 'rename' ? [(request as JobRequests['rename']).name] : [])),
  ports: pending.flatMap(({ job, request }) => (job.action === 'update' ? ((request as JobRequests['update']).patch.publish ?? []) : [])),
});

type Place = Pick<Nic, 'network' | 'address'>;

/** What is taken already for actions that wait. */
const placesAwaited = (pending: readonly StoredJob[]): Place[] =>
  pending.flatMap(({ job, request }) => {
    if (job.action === 'nic.add') return [(request as JobRequests['nic.add']).nic];
    return job.action === 'address.add' ? [request as JobRequests['address.add']] : [];
  });

/** What the machine neither has nor is to have goes back. */
const settleAddresses = async (db: Db, { machine }: StoredMachine, pending: readonly StoredJob[]): Promise<void> => {
  const places = [...placesOfNics(nicsOf(machine)), ...placesAwaited(pending)];
  const networks = await networkListByIds(
    system,
    db,
    places.map(({ network }) => network),
  );
  const subnets = new Map(networks.map((network) => [network.id, subnetOf(network)]));
  const keep = places.flatMap(({ network, address }) => {
    const subnet = subnets.get(network);
    const place = subnet === undefined ? null : placeOf(subnet, address);
    return place === null ? [] : [{ network, place }];
  });
  await addressRelease(system, db, machine.id, keep);
};

const settle = async (db: Db, target: StoredMachine, action: Action, succeeded: boolean): Promise<void> => {
  const pending = await jobListUnfinishedByMachine(system, db, target.machine.id);
  applyPending(target, pending);
  if (pending.length === 0 && action !== 'create') target.reserved = guaranteesOf(target.machine.resources);
  await machineSave(system, db, target);
  if (claiming.has(action)) await machineSettleClaims(system, db, target.machine, claimsOf(pending));
  if (placing.has(action)) await settleAddresses(db, target, pending);
  if ((action === 'update' || action === 'tags') && succeeded) await machineSaveTags(system, db, target.machine);
};

const eventOf = (job: Job, target: StoredMachine | undefined) => ({
  account: job.account,
  at: job.finishedAt!,
  type: `job.${job.state}`,
  subject: job.machine!,
  message: `${job.action} of ${target?.machine.name ?? job.machine} ${job.state}${job.reason === null ? '' : `: ${job.reason}`}`,
  detail: { job: job.id, action: job.action, actor: job.actor, machine: target?.machine.name ?? null },
});
