/** Reading a small file of a machine's, without leaving its root. */
import { readFileSync, statSync } from 'node:fs';
import { isErrno } from '../../base/errno.ts';
import { closeFd, openFd, openFlags } from '../../sys/libc.ts';
import { openInRoot } from '../../sys/openat2.ts';

const largestFile = 1024 * 1024;

/** Empty when there is none, and for what is no ordinary small file. */
export const readInRoot = (root: string, path: string): string => {
  const rootFd = openFd(root, openFlags.path | openFlags.directory);
  try {
    const fd = openInRoot(rootFd, path);
    try {
      return readRegular(`/proc/self/fd/${fd}`);
    } finally {
      closeFd(fd);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return '';
    throw error;
  } finally {
    closeFd(rootFd);
  }
};

const readRegular = (path: string): string => {
  const found = statSync(path);
  // A FIFO or device here would block or never end.
  if (!found.isFile() || found.size > largestFile) return '';
  return readFileSync(path, 'utf8');
};
