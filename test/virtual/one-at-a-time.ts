/** Virtual hosts are slow and large, so tests that start one wait for each other, whichever process they are in. */
import { arch } from 'node:os';
import { lockFile } from '../../src/sys/flock.ts';

const lockPath = '/run/cenote-virtual-host.lock';
const patienceMs = 60 * 60_000;

/** Why there can be none here; false where there can. */
export const skipVirtualHost: string | false = process.getuid?.() !== 0 ? 'needs root' : arch() === 'x64' ? false : 'the recipe is for x86-64';

export const lockVirtualHosts = async (): Promise<AsyncDisposable> => {
  const lock = await lockFile(lockPath, { timeoutMs: patienceMs });
  return { [Symbol.asyncDispose]: () => Promise.resolve(lock[Symbol.dispose]()) };
};
