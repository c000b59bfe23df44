/** Log files of services: written by the services themselves (so that no keeper's death breaks them), cut here when they grow. */
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from 'node:fs';

export const logLimitBytes = 16 * 1024 * 1024;

/** For a child's output; opened to append, so that cutting the file is safe while it writes. */
export const openLog = (path: string): number => openSync(path, 'a', 0o640);

/** Beyond the limit the file becomes `PATH.1` and begins anew; the lines written in between are in neither, which is bearable here. */
export const cutLog = (path: string, limitBytes = logLimitBytes): boolean => {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= limitBytes) return false;
  copyFileSync(path, `${path}.1`);
  truncateSync(path, 0);
  return true;
};

/** The last lines, for a message that says why something did not start. */
export const lastLines = (path: string, count: number): string[] => {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return [];
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(Math.min(size, 16_384));
    const read = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    return buffer.subarray(0, read).toString('utf8').trimEnd().split('\n').slice(-count);
  } finally {
    closeSync(fd);
  }
};
