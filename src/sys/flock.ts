/**
 * Advisory locks on files (flock): held by an open descriptor, so that the kernel gives them back however the holder ends.
 * A lock file may be removed; whoever waited for the removed one starts again on the new one.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../base/errors.ts';
import { callAsync, checked, declare, isErrno } from './libc.ts';

const lockExclusive = 2;
const lockNonBlocking = 4;
const pollMs = 10;

const flockFunction = declare('int flock(int fd, int operation)');

export interface FileLock extends Disposable {
  /** For writing into the lock file; do not close it. */
  readonly fd: number;
  /** The file was removed by another: what is locked at its path now is another one. */
  isLost(): boolean;
}

const held = (path: string, fd: number): FileLock => ({ fd, isLost: () => !isStillAt(path, fd), [Symbol.dispose]: () => closeSync(fd) });

/** Never follows a link. */
const openLockFile = (path: string): number => openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);

/** Null when another holds it. */
export const tryLockFile = (path: string): FileLock | null => {
  for (;;) {
    const fd = openLockFile(path);
    try {
      checked(`flock ${path}`, flockFunction(fd, lockExclusive | lockNonBlocking) as number);
    } catch (error) {
      closeSync(fd);
      if (isErrno(error, 'EAGAIN')) return null;
      throw error;
    }
    if (isStillAt(path, fd)) return held(path, fd);
    closeSync(fd);
  }
};

/**
 * Waits in the kernel, on the thread pool: costs nothing however long it takes, and has the lock at once when its holder ends. It cannot be
 * cancelled, so it is for a process that ends only by being killed.
 */
export const awaitFileLock = async (path: string): Promise<FileLock> => {
  for (;;) {
    const fd = openLockFile(path);
    try {
      await callAsync(`flock ${path}`, flockFunction, fd, lockExclusive);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (isStillAt(path, fd)) return held(path, fd);
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
  const opened = fstatSync(fd);
  return named !== undefined && named.ino === opened.ino && named.dev === opened.dev;
};
