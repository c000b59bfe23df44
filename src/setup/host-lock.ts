/**
 * The lock under which instances change what belongs to the whole host: two that come at once would make the account, a mount or the
 * swap twice, and one that leaves as the last would take away what one that comes has just found. (The allotment's own lock guards
 * each step of its record, not what is done to the host between two of them.)
 */
import { rmSync } from 'node:fs';
import { lockFile } from '../sys/flock.ts';

const path = '/run/cenote-host.lock';
/** As long as another instance may take to load modules and make its swap. */
const timeoutMs = 120_000;

/** Held until it is disposed of. The file goes with it: whoever waits begins again on a new one. */
export const lockHost = async (signal?: AbortSignal): Promise<Disposable> => {
  const lock = await lockFile(path, { timeoutMs, signal });
  return {
    [Symbol.dispose]: () => {
      rmSync(path, { force: true });
      lock[Symbol.dispose]();
    },
  };
};
