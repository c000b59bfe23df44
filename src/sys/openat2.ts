/**
 * openat2(2): opening a path beneath a directory that is not to be trusted. With RESOLVE_IN_ROOT the directory is the root for
 * every step, so that `..` and absolute links stay inside whatever a process in there does meanwhile.
 */
import { checked, declare, openFlags, undisturbed } from './libc.ts';

/** The same number on every architecture. */
const openat2Number = 437;
const resolveNoMagicLinks = 0x02;
const resolveInRoot = 0x10;
/** Something on the way may be renamed while the kernel walks it. */
const raceAttempts = 65;

const openat2Function = declare('long syscall(long number, int directory, const char* path, void* how, size_t size)');

/** A descriptor of `path` as seen with `rootFd` as the root directory; only to be passed on or looked at (`O_PATH`). The caller closes it. */
export const openInRoot = (rootFd: number, path: string, flags = 0): number => {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(openFlags.path | openFlags.cloexec | flags), 0);
  how.writeBigUInt64LE(BigInt(resolveInRoot | resolveNoMagicLinks), 16);
  return undisturbed(raceAttempts, () => checked(`openat2 ${path}`, Number(openat2Function(openat2Number, rootFd, path, how, how.length))));
};
