/** What is to be said of a machine that ends by itself and is started again by its policy, in each state of that round. */
import type { Machine } from '../../model/control-api.ts';
import { formatAge, formatDuration, plural } from '../format.ts';

/** One that has run this long is taken to have come up; the count of tries begins anew then (agent/machine/restart.ts). */
const settledMs = 30_000;

type Restarted = Pick<Machine, 'state' | 'restarts' | 'restartAt' | 'exit' | 'error' | 'startedAt'>;

/** `2s`; below ten seconds with a decimal: that is what the first tries wait. */
const until = (at: string, now: number): string => {
  const seconds = Math.max(0, (Date.parse(at) - now) / 1000);
  return seconds < 10 ? `${seconds.toFixed(1)}s` : formatDuration(seconds);
};

/** Whether it ended by itself, and is started again or was a moment ago. */
export const isRetried = ({ state, restarts, restartAt, startedAt }: Restarted, now: number): boolean => {
  if (restartAt !== undefined) return true;
  if (restarts === 0) return false;
  return state === 'provisioning' || state === 'stopping' || (state === 'running' && startedAt !== null && now - Date.parse(startedAt) < settledMs);
};

/** Behind its state: `exit 1, restarted 2 times, again in 1.3s`; empty for one that is not retried. */
export const retryWords = (machine: Restarted, now: number): string => {
  if (!isRetried(machine, now)) return '';
  const { exit, restarts, restartAt } = machine;
  return [
    exit === null ? 'does not start' : `exit ${exit.code}`,
    ...(restarts === 0 ? [] : [`restarted ${plural(restarts, 'time')}`]),
    ...(restartAt === undefined ? [] : [`again in ${until(restartAt, now)}`]),
  ].join(', ');
};

/** Its state, and in a round of restarts what of it there is to know. */
export const stateWords = (machine: Restarted, now: number): string => {
  const words = retryWords(machine, now);
  return words === '' ? machine.state : `${machine.state} (${words})`;
};

/** A sentence. Why it last failed to start is newer than how it last ended. */
export const retrySentence = (machine: Restarted, now: number): string => {
  const { exit, error, restarts, restartAt, startedAt, state } = machine;
  const why =
    error !== null
      ? `it could not be started (${error}), and`
      : exit === null
        ? 'it ended, and'
        : `it ended ${formatAge(exit.at, now)} ago (${exit.reason}), and`;
  const times = restarts === 0 ? 'has not been started again yet' : `has been started again ${plural(restarts, 'time')}`;
  const next =
    restartAt !== undefined
      ? `the next try is in ${until(restartAt, now)}`
      : state === 'running' && startedAt !== null
        ? `the last try has run for ${formatAge(startedAt, now)}`
        : 'the next try is under way';
  return `${why} ${times}; ${next}`;
};
