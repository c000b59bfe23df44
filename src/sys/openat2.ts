/**
 * openat2(2): opening a path beneath a directory that is not to be trusted. With RESOLVE_IN_ROOT the directory is the root for
 * every step, so that `..` and absolute links stay inside whatever a process in there does meanwhile.
 */
import { checked, declare, openFlags, undisturbed } from './libc.ts';

/** The same number on every architecture. */
const openat2Number = 437;
const resolveNoMagicLinks = 0x02;
const resolveInRoot = 0x10;
/**
 * Something may be renamed while the kernel walks through a `..`. Who does nothing else on another core breaks off a walk of sixty of them some
 * hundred times in a row: so often that it has its turn at some time, and that it takes 50 ms at most.
 */
const raceAttempts = 2000;

const openat2Function = declare('long syscall(long number, int directory, const char* path, void* how, size_t size)');

/** A descriptor of `path` as seen with `rootFd` as the root directory; only to be passed on or looked at (`O_PATH`). The caller closes it. */
export const openInRoot = (rootFd: number, path: string, flags = 0): number => {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(openFlags.path | openFlags.cloexec | flags), 0);
  how.writeBigUInt64LE(BigInt(resolveInRoot | resolveNoMagicLinks), 16);
  return undisturbed(raceAttempts, () => checked(`openat2 ${path}`, Number(openat2Function(openat2Number, rootFd, path, how, how.length))));
};
