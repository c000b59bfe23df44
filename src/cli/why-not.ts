/** Why a file of this host cannot be read or written, in words. */
import { messageOf } from '../base/errors.ts';

const words: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  ENAMETOOLONG: 'the path is too long',
  ENOSPC: 'the disk is full',
  EROFS: 'it is on a read-only file system',
  ELOOP: 'it is a loop of links',
};

export const whyNot = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return words[code] ?? messageOf(error);
};
