/** Waiting for an action's job: its failure is the command's failure, and Ctrl-C leaves it running and says so. */
import { CenoteError } from '../base/errors.ts';
import type { ErrorBody, ErrorCode } from '../base/errors.ts';
import type { Accepted } from '../model/control-api.ts';
import type { Job } from '../model/event.ts';
import { toggle } from './command.ts';
import type { Context } from './context.ts';
import { Interrupted } from './context.ts';

export const waitSeconds = 20;
export const noWait = toggle('do not wait until it is done', { otherwise: '--wait' });

const ended = (job: Job): boolean => job.state === 'succeeded' || job.state === 'failed';

export interface Waiting {
  /** For a person: `stopping web`. */
  doing: string;
  /** Whose job it is, as the person named it. */
  machine: string;
}

/** Asks for an action and waits until its job has ended; the answer is as the API gives it then. */
export const finishJob = async (
  context: Context,
  waiting: Waiting,
  ask: (options: { wait: number; signal: AbortSignal }) => Promise<Accepted>,
): Promise<Accepted> => {
  const { signal } = context;
  const control = await context.control();
  try {
    let accepted = await ask({ wait: waitSeconds, signal });
    let said: string | null = null;
    while (!ended(accepted.job)) {
      // What a job that has not ended waits for.
      if (accepted.job.reason !== null && accepted.job.reason !== said) context.output.note(`${waiting.doing} waits: ${accepted.job.reason}`);
      said = accepted.job.reason;
      const job = await control.jobGet(accepted.job.id, { wait: waitSeconds, signal });
      // The machine that came with the acceptance is older than the job's end.
      accepted = {
        job,
        machine:
          ended(job) && accepted.machine !== null && job.action !== 'delete' ? await control.machineGet(accepted.machine.id, { signal }) : accepted.machine,
      };
    }
    if (accepted.job.state === 'failed') throw jobError(accepted.job, accepted.machine?.name ?? waiting.machine);
    return accepted;
  } catch (error) {
    if (signal.aborted) throw new Interrupted(`no longer waiting; ${waiting.doing} goes on`, `see how it ends: cenote jobs ${waiting.machine}`);
    throw error;
  }
};

/** The error as it was on the other side, where the job kept it whole. */
const jobError = (job: Job, machine: string): CenoteError => {
  const kept = job.result['error'];
  const body = typeof kept === 'object' && kept !== null && 'code' in kept ? CenoteError.fromBody(kept as ErrorBody) : undefined;
  return new CenoteError(
    body?.code ?? 'failed',
    `${job.action} of ${machine || 'the machine'} ${isRefused(job) ? 'was refused' : 'failed'}: ${job.reason ?? 'no reason was given'}`,
    {
      fields: body?.fields,
      advice: body?.advice ?? adviceFor(job, machine),
      context: { action: job.action, machine: job.machine },
    },
  );
};

/** Said no to, with nothing changed. */
const refusals: readonly unknown[] = ['not_enough', 'in_use', 'wrong_state', 'unsupported', 'invalid_argument'] satisfies ErrorCode[];
export const isRefused = ({ result: { error } }: Job): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && refusals.includes(error.code);

const adviceFor = ({ action }: Job, machine: string): string | undefined => {
  if (machine === '' || action === 'delete' || action.startsWith('snapshot.')) return undefined;
  return action === 'resize' ? `nothing was changed; more: cenote why ${machine}` : `more: cenote get ${machine}, cenote logs ${machine}`;
};

/** How long a job took, as the control plane saw it. */
export const jobMilliseconds = (job: Job): number => {
  const measured = job.result['milliseconds'];
  if (typeof measured === 'number') return Math.round(measured);
  return job.finishedAt === null ? 0 : Date.parse(job.finishedAt) - Date.parse(job.createdAt);
};
