/**
 * Whose turn it is to govern what machines borrow: the agent's while there is one, its stand-in's while there is none, and never both at
 * once. Two locks of files say it, which the kernel gives back however their holder ends. The agent takes that of its presence first, by
 * which the stand-in sees that it is to let go, and then the turn itself, as soon as that has.
 */
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { awaitFileLock, lockFile, tryLockFile } from '../../sys/flock.ts';
import type { FileLock } from '../../sys/flock.ts';

const presencePath = (directory: string): string => join(directory, 'agent.lock');
const turnPath = (directory: string): string => join(directory, 'governor.lock');

const letGoMs = 5000;

/**
 * For the agent. A stand-in that does not let go in time stands still, and so does nothing: it is not waited for any longer, and `onLate` is
 * told.
 */
export const takeTurn = async (directory: string, onLate: () => void, timeoutMs = letGoMs): Promise<Disposable> => {
  using held = new DisposableStack();
  held.use(await lockFile(presencePath(directory)));
  try {
    held.use(await lockFile(turnPath(directory), { timeoutMs }));
  } catch (error) {
    if (!(error instanceof CenoteError && error.code === 'timeout')) throw error;
    onLate();
  }
  return held.move();
};

/** For the stand-in: until there is no agent, however long that takes; null when the next one is there already. */
export const awaitTurn = async (directory: string): Promise<FileLock | null> => {
  (await awaitFileLock(presencePath(directory)))[Symbol.dispose]();
  const turn = await awaitFileLock(turnPath(directory));
  if (!isAgentThere(directory)) return turn;
  turn[Symbol.dispose]();
  return null;
};

export const isAgentThere = (directory: string): boolean => {
  using presence = tryLockFile(presencePath(directory));
  return presence === null;
};
