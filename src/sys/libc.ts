/**
 * Calls to the kernel through libc, by koffi (one prebuilt package, no compiler). Everything that calls the kernel directly goes
 * through here, so that errno becomes an error in one place. A plain call costs about 0.3 µs and blocks; `Async` variants run
 * on libuv's thread pool, for calls that may sleep.
 */
import koffi from 'koffi';
import type { KoffiFunc } from 'koffi';

import { isErrno } from '../base/errno.ts';

export { isErrno };

/**
 * An asynchronous call has a stack of its own. Only so many are kept; for each call beyond them one is mapped and unmapped, which takes ten
 * times as long as the call (docs/benchmarks.md). More calls than may wait at once throw.
 */
koffi.config({ async_stack_size: 64 * 1024, async_heap_size: 64 * 1024, resident_async_pools: 32, max_async_calls: 4096 });

const libc = koffi.load('libc.so.6');

/** A failed system call: `code` is the errno's name (`EBUSY`), as Node's own errors have it. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;

  constructor(what: string, errno: number) {
    const code = errnoNames.get(errno) ?? `E${errno}`;
    super(`${what}: ${code}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.errno = errno;
  }
}

/** On Linux another name for EAGAIN, which is what Node says. */
const { EWOULDBLOCK: _alias, ...errnos } = koffi.os.errno;
const errnoNames = new Map<number, string>(Object.entries(errnos).map(([name, number]) => [number, name]));

/** Throws when a libc function said -1. */
export const checked = (what: string, result: number): number => {
  if (result === -1) throw new SystemCallError(what, koffi.errno());
  return result;
};

/** What the kernel breaks off with EAGAIN for what came in between, it is asked for again: so often, and then that is thrown. */
export const undisturbed = <Result>(attempts: number, ask: () => Result): Result => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return ask();
    } catch (error) {
      if (!isErrno(error, 'EAGAIN') || attempt === attempts) throw error;
    }
  }
};

/** A declared C function: called as it is, or by `callAsync`. */
// oxlint-disable-next-line typescript/no-explicit-any -- a C prototype is text: its types are known only to who wrote it
export type NativeFunction = KoffiFunc<(...args: any[]) => any>;

/** Declares a libc function by its C prototype. */
export const declare = (prototype: string): NativeFunction => libc.func(prototype);

/** Runs a declared function on the thread pool; `settle` reads the errno there, before another call can change it. */
const onThread = <Result>(declared: NativeFunction, args: readonly unknown[], settle: (result: number) => Result): Promise<Result> =>
  new Promise((resolve, reject) => {
    declared.async(...args, (error: Error | null, result: number) => {
      if (error !== null) return reject(error);
      try {
        resolve(settle(result));
      } catch (failure) {
        reject(failure);
      }
    });
  });

/** A function that says -1 and sets errno when it fails, on the thread pool. */
export const callAsync = (what: string, declared: NativeFunction, ...args: unknown[]): Promise<number> =>
  onThread(declared, args, (result) => checked(what, result));

/** A function whose result says all, on the thread pool. */
export const resultOf = (declared: NativeFunction, ...args: unknown[]): Promise<number> => onThread(declared, args, (result) => result);

const closeFunction = declare('int close(int fd)');
export const closeFd = (fd: number): void => {
  checked('close', closeFunction(fd) as number);
};

const duplicateAbove = 1030;
const firstHigh = 1024;
const fcntlFunction = declare('int fcntl(int fd, int command, int argument)');

/** The same, under a high number: low ones are for libraries that can use no others. As it was, where the limit of open files is low. */
export const withHighNumber = (fd: number): number => {
  const high = fcntlFunction(fd, duplicateAbove, firstHigh) as number;
  if (high === -1) return fd;
  closeFd(fd);
  return high;
};

/** For a descriptor whose close makes the kernel wait, such as the last one of a detached mount (a grace period); nobody waits for it here. */
export const closeLater = (fd: number): void => {
  void callAsync('close', closeFunction, fd);
};

const openFunction = declare('int open(const char* path, int flags, unsigned int mode)');
export const openFlags = { readOnly: 0, readWrite: 2, directory: 0o200000, noFollow: 0o400000, cloexec: 0o2000000, path: 0o10000000 } as const;
export const openFd = (path: string, flags: number): number => checked(`open ${path}`, openFunction(path, flags | openFlags.cloexec, 0) as number);
