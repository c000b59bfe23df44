/**
 * Advisory locks on files (flock): held by an open descriptor, so that the kernel gives them back however the holder ends.
 * A lock file may be removed by its holder; whoever waited for the removed one starts again on the new one.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../base/errors.ts';
import { checked, declare, isErrno } from './libc.ts';

const lockExclusive = 2;
const lockNonBlocking = 4;
const pollMs = 10;

const flockFunction = declare('int flock(int fd, int operation)');

export interface FileLock extends Disposable {
  /** For writing into the lock file; do not close it. */
  readonly fd: number;
}

/** Null when another holds it. Never follows a link at `path`. */
export const tryLockFile = (path: string): FileLock | null => {
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      checked(`flock ${path}`, flockFunction(fd, lockExclusive | lockNonBlocking) as number);
    } catch (error) {
      closeSync(fd);
      if (isErrno(error, 'EWOULDBLOCK', 'EAGAIN')) return null;
      throw error;
    }
    if (isStillAt(path, fd)) return { fd, [Symbol.dispose]: () => closeSync(fd) };
    closeSync(fd);
  }
};

/** Waits by asking again: a blocking flock could be neither timed nor cancelled. */
export const lockFile = async (path: string, options: { timeoutMs?: number; signal?: AbortSignal | undefined } = {}): Promise<FileLock> => {
  const deadline = Date.now() + (options.timeoutMs ?? 30_000);
  for (;;) {
    options.signal?.throwIfAborted();
    const lock = tryLockFile(path);
    if (lock !== null) return lock;
    if (Date.now() > deadline) throw new CenoteError('timeout', `${path} is locked by another process`, { retryable: true });
    await sleep(pollMs + Math.random() * pollMs);
  }
};

const isStillAt = (path: string, fd: number): boolean => {
  const named = statSync(path, { throwIfNoEntry: false });
  const held = fstatSync(fd);
  return named !== undefined && named.ino === held.ino && named.dev === held.dev;
};
