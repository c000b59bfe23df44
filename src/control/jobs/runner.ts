/**
 * Runs jobs: those of one machine in the order they were accepted, those of different machines side by side up to a bound. It is woken by
 * the accepting of a job, the end of another, and the agent coming back; it never polls. What is unfinished when the process ends is taken
 * up again by the next one, and what was accepted without anyone knowing (the store went away in its commit) once the store is back. Actions have bounds by what they wait for, so that slow stops hold up no create, slow clients no stop, and many creates no resize.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../base/logger.ts';
import { asCenoteError, CenoteError, messageChain } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import type { Job } from '../../model/event.ts';
import type { MachineSpec } from '../../model/machine.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import { systemContext as system } from '../../store/context.ts';
import { jobMarkRunning, jobNote, jobRenewLeases, jobTakeUnfinished } from '../../store/job.ts';
import type { Lease, StoredJob } from '../../store/job.ts';
import { machineFind, machineSave } from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Store } from '../../store/store.ts';
import type { Touched } from '../agent/touched.ts';
import { wakeOrTimeout } from '../wake.ts';
import type { Wake } from '../wake.ts';
import { execute, isAction } from './execute.ts';
import type { Outcome } from './execute.ts';
import { finishFailed, finishSucceeded } from './finish.ts';
import type { Accepted } from '../../model/control-api.ts';
import type { Found } from './finish.ts';
import type { Action, JobRequests } from './request.ts';
import type { Uploads } from './uploads.ts';

export interface RunnerOptions {
  store: Store;
  agent: AgentClient;
  logger: Logger;
  /** Told when the agent can be reached again. */
  reachable: Wake;
  /** Ends when the agent is found to stand still; throws while that is known. */
  answering: () => AbortSignal;
  /** How long an action may wait for an agent that is away. */
  deadlineMs: number;
  atOnce: number;
  /** Of actions that wait for programs to end. */
  waitingAtOnce: number;
  /** Of those that change a few numbers of a machine. */
  changingAtOnce: number;
  uploads: Uploads;
  /** Tells the host of networks that it may not know yet. */
  introduce: (networks: readonly string[], again: boolean, signal: AbortSignal) => Promise<void>;
  /** Told which machines jobs are about, and what the store then knows of them. */
  touched: Touched;
  onFinished: (finished: Accepted) => void;
  /** Steps by name, for tests that end the process at one. */
  trace: (step: string) => void;
}

interface Entry {
  stored: StoredJob;
  machine: string;
  /** As the transaction that accepted the job has left it, for a job that begins at once: the store has nothing newer to say. */
  target: StoredMachine | undefined;
  attempts: number;
  repeat: boolean;
  noted: boolean;
}

type Lane = 'working' | 'changing' | 'waiting' | 'receiving';
const changing: ReadonlySet<string> = new Set(['resize', 'rename', 'tags', 'metadata', 'protect', 'firewall'] satisfies Action[]);
const waiting: ReadonlySet<string> = new Set(['stop', 'reboot', 'update', 'image.create'] satisfies Action[]);
const laneOf = ({ job: { action }, request }: StoredJob): Lane => {
  if (action === 'update' && (request as JobRequests['update']).code !== undefined) return 'receiving';
  if (changing.has(action)) return 'changing';
  return waiting.has(action) ? 'waiting' : 'working';
};
const quickMs = 250;
const firstDelayMs = 100;
const longestDelayMs = 5000;
const leaseMs = 30_000;

export class JobRunner implements AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #queues = new Map<string, Entry[]>();
  readonly #ready: Record<Lane, Entry[]> = { working: [], changing: [], waiting: [], receiving: [] };
  /** What the agent has been asked for; to record that it was done takes no place. */
  readonly #asked: Record<Lane, Set<Entry>> = { working: new Set(), changing: new Set(), waiting: new Set(), receiving: new Set() };
  /** Those that end soon once no more is asked; uploads end by themselves. */
  readonly #attempts = new Set<Promise<void>>();
  readonly #waiters = new Map<string, Set<(finished?: Accepted) => void>>();
  readonly #unfinished = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #owner = `control ${process.pid} ${randomUUID()}`;
  readonly #renewal: NodeJS.Timeout;
  #ends: { answering: AbortSignal; signal: AbortSignal } | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#renewal = setInterval(() => this.#renew(), leaseMs / 3).unref();
  }

  /** Takes up what an earlier process left, and what the store has and this one was not told of. */
  async resume(): Promise<void> {
    const unfinished = await this.#options.store.transaction((db) => jobTakeUnfinished(system, db, this.lease()));
    for (const stored of unfinished) this.#add(stored, undefined, true);
  }

  /** For a job that is being accepted: it is this process's own. */
  lease(): Lease {
    return { owner: this.#owner, until: new Date(Date.now() + leaseMs).toISOString() };
  }

  /** Only after the transaction that made the job, and at once after it where `target` is given, the machine as that has left it. */
  enqueue(stored: StoredJob, target?: StoredMachine): void {
    this.#add(stored, target, false);
  }

  /** The job's end; undefined when the time is over first, or it had ended before. */
  async waitFor(jobId: string, milliseconds: number, signal: AbortSignal): Promise<Accepted | undefined> {
    if (!this.#unfinished.has(jobId) || this.#stopping.signal.aborted) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    let finished: Accepted | undefined;
    const waiter = (result?: Accepted) => {
      finished = result;
      resolve();
    };
    const waiters = this.#waiters.get(jobId) ?? new Set();
    this.#waiters.set(jobId, waiters.add(waiter));
    try {
      await wakeOrTimeout(promise, milliseconds, signal);
    } finally {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(jobId) === waiters) this.#waiters.delete(jobId);
    }
    return finished;
  }

  #add(stored: StoredJob, target: StoredMachine | undefined, repeat: boolean): void {
    if (this.#unfinished.has(stored.job.id)) return;
    const entry: Entry = { stored, machine: stored.job.machine!, target: undefined, attempts: 0, repeat, noted: stored.job.reason !== null };
    this.#unfinished.add(stored.job.id);
    const queue = this.#queues.get(entry.machine);
    if (queue !== undefined) {
      queue.push(entry);
      return;
    }
    this.#queues.set(entry.machine, [entry]);
    entry.target = target;
    this.#makeReady(entry);
    // Later it may be another.
    entry.target = undefined;
  }

  #makeReady(entry: Entry): void {
    const lane = laneOf(entry.stored);
    this.#ready[lane].push(entry);
    this.#pump(lane);
  }

  #pump(lane: Lane): void {
    const { atOnce, changingAtOnce, waitingAtOnce } = this.#options;
    const bound = { working: atOnce, changing: changingAtOnce, waiting: waitingAtOnce, receiving: waitingAtOnce }[lane];
    const asked = this.#asked[lane];
    while (asked.size < bound && !this.#stopping.signal.aborted) {
      const entry = this.#ready[lane].shift();
      if (entry === undefined) return;
      asked.add(entry);
      const onAnswered = () => {
        asked.delete(entry);
        this.#pump(lane);
      };
      const attempt = this.#attempt(entry, onAnswered).catch((error: unknown) => {
        this.#options.logger.error({ job: entry.stored.job.id, error: messageChain(error) }, 'job could not be recorded; it is tried again');
        this.#later(entry, longestDelayMs);
      });
      if (lane === 'receiving') continue;
      this.#attempts.add(attempt);
      void attempt.finally(() => this.#attempts.delete(attempt));
    }
  }

  async #attempt(entry: Entry, onAnswered: () => void): Promise<void> {
    const { store, trace, touched } = this.#options;
    const { stored } = entry;
    entry.attempts += 1;
    let outcome: Outcome;
    try {
      trace(`${stored.job.action}:begin`);
      outcome = await this.#call(entry);
      trace(`${stored.job.action}:answered`);
    } catch (thrown) {
      if (this.#stopping.signal.aborted) return;
      await this.#afterFailure(entry, asCenoteError(thrown));
      return;
    } finally {
      onAnswered();
    }
    touched.touch(entry.machine);
    const finished = await finishSucceeded(store, stored, this.#owner, outcome);
    touched.end(entry.machine, outcome.status?.sequence);
    trace(`${stored.job.action}:recorded`);
    this.#end(entry, finished);
  }

  async #call(entry: Entry): Promise<Outcome> {
    const { agent, store } = this.#options;
    const { job, generation, request } = entry.stored;
    const target = entry.target ?? (await machineFind(system, store.db, entry.machine));
    if (target === undefined) throw new CenoteError('not_found', 'the machine is gone');
    if (!isAction(job.action)) throw new CenoteError('internal', `there is no action ${job.action}`);
    const answering = this.#options.answering();
    const execution = {
      agent,
      stored: target,
      generation,
      request: request as never,
      createdAt: job.createdAt,
      uploads: this.#options.uploads,
      repeat: entry.repeat,
      signal: this.#underWay(answering),
    };
    this.#options.touched.begin(entry.machine);
    const answer = this.#introduced(entry, target.spec, execution.signal).then(() => execute(job.action as Action, execution));
    entry.repeat = true;
    const mark = setTimeout(() => this.#markRunning(job), quickMs);
    const [outcome] = await Promise.allSettled([answer]);
    clearTimeout(mark);
    if (outcome.status === 'rejected') throw answering.aborted ? answering.reason : outcome.reason;
    return outcome.value;
  }

  /** One for all that are under way: putting signals together costs more than what it is for. */
  #underWay(answering: AbortSignal): AbortSignal {
    if (this.#ends?.answering !== answering) this.#ends = { answering, signal: AbortSignal.any([this.#stopping.signal, answering]) };
    return this.#ends.signal;
  }

  async #introduced({ stored: { job, request }, attempts }: Entry, spec: MachineSpec, signal: AbortSignal): Promise<void> {
    const nics = [...nicsOf(spec), ...(job.action === 'nic.add' ? [(request as JobRequests['nic.add']).nic] : [])];
    const fabrics = nics.filter(({ network }) => network !== externalNetwork).map(({ network }) => network);
    if (fabrics.length > 0) await this.#options.introduce(fabrics, attempts > 1, signal);
  }

  /** Only shown: an action that is over at once need not be called running first. */
  #markRunning(job: Job): void {
    if (job.state === 'running') return;
    job.state = 'running';
    this.#options.store
      .transactionRepeatable((db) => jobMarkRunning(system, db, job.id))
      .catch((error: unknown) => {
        this.#options.logger.warn({ job: job.id, error: messageChain(error) }, 'job could not be marked running');
      });
  }

  async #afterFailure(entry: Entry, error: CenoteError): Promise<void> {
    const { store, logger, deadlineMs, touched, trace } = this.#options;
    const { job } = entry.stored;
    const late = Date.now() - Date.parse(job.createdAt) > deadlineMs;
    if (error.retryable && !late) {
      if (!entry.noted) await this.#note(entry, error);
      this.#later(entry, Math.min(firstDelayMs * 2 ** Math.min(entry.attempts - 1, 10), longestDelayMs));
      return;
    }
    logger.warn({ job: job.id, action: job.action, machine: job.machine, error: messageChain(error), ...error.context }, 'job failed');
    const found = await this.#find(entry.machine);
    touched.touch(entry.machine);
    const finished = await finishFailed(store, entry.stored, this.#owner, error, found);
    touched.end(entry.machine, found?.sequence);
    trace(`${job.action}:recorded`);
    this.#end(entry, finished);
  }

  async #find(machine: string): Promise<Found> {
    try {
      return await this.#options.agent.machineGet(machine, { signal: this.#stopping.signal });
    } catch (error) {
      return error instanceof CenoteError && error.code === 'not_found' ? null : undefined;
    }
  }

  /** The machine and the job say what they wait for. */
  async #note(entry: Entry, error: CenoteError): Promise<void> {
    entry.noted = true;
    const reason = `${entry.stored.job.action} waits: ${error.message}`;
    await this.#options.store.transactionRepeatable(async (db) => {
      await jobNote(system, db, entry.stored.job.id, reason);
      const target = await machineFind(system, db, entry.machine);
      if (target === undefined) return;
      target.machine.error = reason;
      await machineSave(system, db, target);
    });
  }

  /** Gives its place to others meanwhile; the agent coming back cuts the wait short. */
  #later(entry: Entry, milliseconds: number): void {
    const { signal } = this.#stopping;
    void wakeOrTimeout(this.#options.reachable.next(), milliseconds, signal).then(() => {
      if (!signal.aborted) this.#makeReady(entry);
    });
  }

  #end(entry: Entry, finished: Accepted): void {
    const queue = this.#queues.get(entry.machine)!;
    queue.shift();
    if (queue.length === 0) this.#queues.delete(entry.machine);
    else this.#makeReady(queue[0]!);
    this.#unfinished.delete(finished.job.id);
    this.#options.onFinished(finished);
    for (const waiter of this.#waiters.get(finished.job.id) ?? []) waiter(finished);
  }

  #renew(): void {
    const { store, logger } = this.#options;
    if (this.#unfinished.size === 0) return;
    store
      .transactionRepeatable((db) => jobRenewLeases(system, db, this.lease()))
      .catch((error: unknown) => logger.warn({ error: messageChain(error) }, 'the leases of jobs could not be renewed'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewal);
    this.#stopping.abort();
    for (const waiter of [...this.#waiters.values()].flatMap((waiters) => [...waiters])) waiter();
    await Promise.allSettled(this.#attempts);
  }
}
