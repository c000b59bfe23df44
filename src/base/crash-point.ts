/**
 * Crash points: named places between two steps of an action, where a test may have the process killed as if the power had gone. Off,
 * which is always but in tests, a point is a call of an empty function.
 *
 * A plan is `start:N` (the N-th point since the process began) or `ready:N` (since it began to serve).
 */
import { CenoteError } from './errors.ts';

export interface CrashPoints {
  reach(point: string): void;
  /** Recovery is over and the process serves. */
  ready(): void;
}

export const noCrash: CrashPoints = { reach: () => {}, ready: () => {} };

/** `die` is handed the point's name and must not return. */
export const crashAt = (plan: string | undefined, die: (point: string) => void = killSelf): CrashPoints => {
  if (plan === undefined || plan === '') return noCrash;
  const match = /^(start|ready):([1-9]\d{0,5})$/.exec(plan);
  if (match === null) throw new CenoteError('invalid_argument', `a crash plan is start:N or ready:N, not ${JSON.stringify(plan)}`);
  let counting = match[1] === 'start';
  let left = Number(match[2]);
  return {
    reach(point) {
      if (!counting) return;
      left -= 1;
      if (left === 0) die(point);
    },
    ready() {
      counting = true;
    },
  };
};

const killSelf = (point: string): void => {
  process.stderr.write(`crash point: ${point}\n`); // synchronous for files and pipes on Linux
  process.kill(process.pid, 'SIGKILL');
};
