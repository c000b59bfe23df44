/**
 * Running a function inside another network namespace. A namespace belongs to a thread, so the function must be synchronous:
 * nothing else of this thread may run in between. What it opens there (a socket) stays in that namespace for good.
 */
import { closeFd, checked, declare, openFd, openFlags } from './libc.ts';

const cloneNewNet = 0x4000_0000;
const setnsFunction = declare('int setns(int fd, int type)');
const unshareFunction = declare('int unshare(int flags)');

const enter = (fd: number): void => {
  checked('setns', setnsFunction(fd, cloneNewNet) as number);
};

/** This thread's own network namespace, as an open descriptor. */
export const openOwnNetworkNamespace = (): number => openFd('/proc/thread-self/ns/net', openFlags.readOnly);

/** Calls `work` inside the namespace behind `netnsFd`. Ends the process when there is no way back: anything it did from then on would be done in the wrong place. */
export const inNetworkNamespace = <Result>(netnsFd: number, work: () => Result): Result => {
  const own = openOwnNetworkNamespace();
  try {
    enter(netnsFd);
    try {
      return work();
    } finally {
      returnTo(own);
    }
  } finally {
    closeFd(own);
  }
};

/** A new network namespace, owned by this process's user namespace, as an open descriptor; it lives as long as something holds it. */
export const createNetworkNamespace = (): number => {
  const own = openOwnNetworkNamespace();
  try {
    checked('unshare', unshareFunction(cloneNewNet) as number);
    try {
      return openOwnNetworkNamespace();
    } finally {
      returnTo(own);
    }
  } finally {
    closeFd(own);
  }
};

const returnTo = (own: number): void => {
  try {
    enter(own);
  } catch (cause) {
    process.stderr.write(`cannot leave a network namespace: ${String(cause)}\n`);
    process.abort();
  }
};
