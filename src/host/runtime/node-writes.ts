import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { isErrno } from '../../base/errno.ts';

const nodeNames = new Set(['node', 'nodejs']);

/** How often a process has written, all its threads together, when its program is Node; null for others, for one that has ended, and where the kernel does not count. */
export const nodeWrites = (pid: number): number | null => {
  try {
    if (!nodeNames.has(basename(readlinkSync(`/proc/${pid}/exe`)))) return null;
    const count = /^syscw: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1];
    return count === undefined ? null : Number(count);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return null;
    throw error;
  }
};
