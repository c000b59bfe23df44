/**
 * Jobs: every asynchronous action, from being accepted to its end; afterwards they are the audit. An unfinished one is leased to the process
 * that works on it: only the holder of the lease may end it, and it ends once.
 */
import type { Selectable } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import type { Job, JobCaller } from '../model/event.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { JobTable } from './schema.ts';
import type { Db } from './store.ts';

export interface StoredJob {
  job: Job;
  /** The machine's generation this action makes. */
  generation: number;
  /** The action's own parameters, as its executor reads them. */
  request: unknown;
}

/** Who works on a job, and until when unless it says so again. */
export interface Lease {
  owner: string;
  until: string;
}

const wireOf = (row: Selectable<JobTable>): Job => ({
  id: row.id,
  account: row.account,
  action: row.action,
  machine: row.machine,
  actor: row.actor,
  caller: row.caller === null ? null : (JSON.parse(row.caller) as JobCaller),
  state: row.state,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
  reason: row.reason,
  result: JSON.parse(row.result) as Record<string, unknown>,
});

const storedOf = (row: Selectable<JobTable>): StoredJob => ({ job: wireOf(row), generation: row.generation, request: JSON.parse(row.request) });

const insertRow = new Compiled((db, row: Slots<Omit<JobTable, 'sequence'>>) => db.insertInto('job').values(row));

export const jobInsert = async (context: RequestContext, db: Db, { job, generation, request }: StoredJob, lease: Lease): Promise<void> => {
  authorize(context, 'write');
  await insertRow.change(db, {
    id: job.id,
    account: job.account,
    action: job.action,
    machine: job.machine,
    actor: job.actor,
    caller: job.caller === null ? null : JSON.stringify(job.caller),
    state: job.state,
    generation,
    request: JSON.stringify(request),
    result: JSON.stringify(job.result),
    reason: job.reason,
    created_at: job.createdAt,
    finished_at: job.finishedAt,
    lease_owner: lease.owner,
    lease_until: lease.until,
  });
};

export const jobGet = async (context: RequestContext, db: Db, id: string): Promise<Job> => {
  authorize(context, 'read');
  let query = db.selectFrom('job').selectAll().where('id', '=', id);
  if (context.role !== 'system') query = query.where('account', '=', context.account);
  const row = await query.executeTakeFirst();
  if (row === undefined) throw new CenoteError('not_found', `there is no job ${JSON.stringify(id.slice(0, 80))}`);
  return wireOf(row);
};

/** The newest first; also of a machine that is gone. */
const jobsOfMachine = (context: RequestContext, db: Db, machine: string, limit: number) =>
  db.selectFrom('job').selectAll().where('machine', '=', machine).where('account', '=', context.account).orderBy('sequence', 'desc').limit(limit);

export const jobListByMachine = async (context: RequestContext, db: Db, machine: string, limit: number): Promise<Job[]> => {
  authorize(context, 'read');
  return (await jobsOfMachine(context, db, machine, limit).execute()).map(wireOf);
};

/** Those that have ended. */
export const jobListFinishedByMachine = async (context: RequestContext, db: Db, machine: string, limit: number): Promise<StoredJob[]> => {
  authorize(context, 'read');
  return (await jobsOfMachine(context, db, machine, limit).where('finished_at', 'is not', null).execute()).map(storedOf);
};

/** In the order they were accepted. */
export const jobListUnfinished = async (context: RequestContext, db: Db): Promise<StoredJob[]> => {
  authorize(context, 'keep');
  return (await db.selectFrom('job').selectAll().where('finished_at', 'is', null).orderBy('sequence').execute()).map(storedOf);
};

const unfinishedOf = new Compiled((db, { machine }: Slots<{ machine: string }>) =>
  db.selectFrom('job').selectAll().where('machine', '=', machine).where('finished_at', 'is', null).orderBy('sequence'),
);

export const jobListUnfinishedByMachine = async (context: RequestContext, db: Db, machine: string): Promise<StoredJob[]> => {
  authorize(context, 'read');
  return (await unfinishedOf.rows(db, { machine })).map(storedOf);
};

/**
 * Takes all unfinished jobs, in the order they were accepted. Whoever may write to the store is the only one that does, so whoever had them
 * before is gone.
 */
export const jobTakeUnfinished = async (context: RequestContext, db: Db, { owner, until }: Lease): Promise<StoredJob[]> => {
  authorize(context, 'keep');
  await db.updateTable('job').set({ lease_owner: owner, lease_until: until }).where('finished_at', 'is', null).execute();
  return jobListUnfinished(context, db);
};

/** The holder still works on what it has. */
export const jobRenewLeases = async (context: RequestContext, db: Db, { owner, until }: Lease): Promise<void> => {
  authorize(context, 'keep');
  await db.updateTable('job').set({ lease_until: until }).where('finished_at', 'is', null).where('lease_owner', '=', owner).execute();
};

const markRow = new Compiled((db, { id }: Slots<{ id: string }>) =>
  db.updateTable('job').set({ state: 'running' }).where('id', '=', id).where('finished_at', 'is', null),
);

export const jobMarkRunning = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'keep');
  await markRow.change(db, { id });
};

/** Why it is not done yet; null when that is over. */
export const jobNote = async (context: RequestContext, db: Db, id: string, reason: string | null): Promise<void> => {
  authorize(context, 'keep');
  await db.updateTable('job').set({ reason }).where('id', '=', id).execute();
};

const finishRow = new Compiled(
  (db, { id, owner, ...columns }: Slots<Pick<JobTable, 'id' | 'state' | 'finished_at' | 'reason' | 'result'> & { owner: string }>) =>
    db
      .updateTable('job')
      .set({ ...columns, lease_owner: null, lease_until: null })
      .where('id', '=', id)
      .where('finished_at', 'is', null)
      .where('lease_owner', '=', owner),
);

/** False when it has ended before, or another has its lease: then nothing is to be written for it. */
export const jobFinish = async (context: RequestContext, db: Db, job: Job, owner: string): Promise<boolean> => {
  authorize(context, 'keep');
  const { id, state, finishedAt, reason, result } = job;
  return (await finishRow.change(db, { id, owner, state, finished_at: finishedAt, reason, result: JSON.stringify(result) })) > 0n;
};
