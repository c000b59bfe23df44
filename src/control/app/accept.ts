/** Accepting an asynchronous action: the machine's next generation and the job in one transaction, then its turn with the runner. */
import { CenoteError } from '../../base/errors.ts';
import { newJobId } from '../../base/ids.ts';
import type { Accepted } from '../../model/control-api.ts';
import type { Job } from '../../model/event.ts';
import type { RequestContext } from '../../store/context.ts';
import { jobInsert, jobListUnfinishedByMachine } from '../../store/job.ts';
import type { StoredJob } from '../../store/job.ts';
import { machineGet, machineSave } from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';
import { applyPending } from '../agent/report.ts';
import type { Control } from '../control.ts';
import { demandMade } from './made.ts';
import type { Action, JobRequests } from '../jobs/request.ts';

export const newJob = (context: RequestContext, action: Action, machine: string): Job => ({
  id: newJobId(),
  account: context.account,
  action,
  machine,
  actor: context.actor,
  caller: context.caller ?? null,
  state: 'queued',
  createdAt: new Date().toISOString(),
  finishedAt: null,
  reason: null,
  result: {},
});

/** More than this for one machine is a client gone wrong. */
const mostPending = 100;

/** `prepare` checks the request against the machine as it is, makes the claims it needs, and gives what the job is to know. */
export const acceptAction = async <A extends Action>(
  control: Control,
  context: RequestContext,
  idOrName: string,
  action: A,
  prepare: (db: Db, stored: StoredMachine, pending: readonly StoredJob[]) => Promise<JobRequests[A]> | JobRequests[A],
): Promise<Accepted> => {
  const { accepted, stored, target } = await control.store.transaction(async (db) => {
    const target = await machineGet(context, db, idOrName);
    const { machine } = target;
    if (action !== 'delete') demandMade(target);
    const pending = await jobListUnfinishedByMachine(context, db, machine.id);
    const deleting = pending.find(({ job }) => job.action === 'delete');
    if (deleting !== undefined) {
      if (action === 'delete') return { accepted: { job: deleting.job, machine }, stored: undefined, target: undefined };
      throw new CenoteError('wrong_state', `machine ${JSON.stringify(machine.name)} is being deleted`);
    }
    if (pending.length >= mostPending)
      throw new CenoteError('too_busy', `machine ${JSON.stringify(machine.name)} has ${pending.length} actions waiting already`);
    const request = await prepare(db, target, pending);
    machine.generation += 1;
    const made: StoredJob = { job: newJob(context, action, machine.id), generation: machine.generation, request };
    applyPending(target, [made]);
    await jobInsert(context, db, made, control.jobs.lease());
    await machineSave(context, db, target);
    return { accepted: { job: made.job, machine }, stored: made, target };
  });
  control.trace(`${action}:accepted`);
  control.changes.tell(accepted.machine?.id ?? null);
  if (stored !== undefined) control.jobs.enqueue({ ...stored, job: { ...stored.job } }, target);
  return accepted;
};
