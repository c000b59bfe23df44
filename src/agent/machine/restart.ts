/** Restart policy: whether, and after how long. */
import type { MachineExit, RestartPolicy } from '../../model/machine.ts';

const firstDelayMs = 500;
const longestDelayMs = 60_000;
/** A run this long was a success: counting begins anew. */
export const settledMs = 30_000;

/** Milliseconds until the next start, or null for none. `failures`: ends in a row so far, this one included. */
export const restartDelayMs = (policy: RestartPolicy, exit: MachineExit, failures: number): number | null => {
  if (policy.policy === 'never') return null;
  if (policy.policy === 'on-failure' && exit.code === 0) return null;
  if (policy.maxRetries !== null && failures > policy.maxRetries) return null;
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(20, failures - 1));
};
