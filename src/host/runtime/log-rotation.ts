/**
 * Keeps a machine's output within its quota. conmon itself starts a new file when one is full, and drops the old one. A second
 * name (`next`) given to every new file beforehand saves it: after a rotation, `next` is the full file and becomes `previous`.
 * Work is done only when a directory says that a file was replaced.
 */
import { linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';
import { currentName, previousName } from './log-file.ts';

const nextName = 'next';

const inodeOf = (path: string): number | null => {
  try {
    return statSync(path).ino;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

/** Idempotent: brings the names in order for whatever file is `current` now. */
export const keepRotated = (directory: string): void => {
  const [current, next] = [currentName, nextName].map((name) => inodeOf(join(directory, name)));
  if (current === null || current === undefined || current === next) return;
  if (next !== null) renameSync(join(directory, nextName), join(directory, previousName));
  try {
    linkSync(join(directory, currentName), join(directory, nextName));
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EEXIST')) throw error; // replaced again meanwhile: the next event looks anew
  }
};

export const makeLogDirectory = (directory: string): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
};

export const removeLogs = (directory: string): void => rmSync(directory, { recursive: true, force: true });
