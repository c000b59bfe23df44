/** Network namespaces that no process is in: each is held by a mount of itself, so that it outlives whoever made it. */
import { closeSync, openSync, rmSync, statfsSync } from 'node:fs';
import { closeFd, isErrno, openFd, openFlags, withHighNumber } from './libc.ts';
import { mountFlags, mountFs, unmount, unmountFlags } from './mount.ts';
import { createNetworkNamespace } from './netns.ts';

const nsfs = 0x6e73_6673;
const isNamespace = (fd: number): boolean => statfsSync(`/proc/self/fd/${fd}`).type === nsfs;

/** An open descriptor of a new one, held at `path`; a file that holds none, which a crash has left, is taken. */
export const createNamedNamespace = (path: string): number => {
  const fd = withHighNumber(createNetworkNamespace());
  try {
    closeSync(openSync(path, 'a', 0o600));
    mountFs(`/proc/self/fd/${fd}`, path, null, mountFlags.bind, null);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
};

/** Null where the file holds none. */
export const openNamedNamespace = (path: string): number | null => {
  const fd = withHighNumber(openFd(path, openFlags.readOnly));
  if (isNamespace(fd)) return fd;
  closeFd(fd);
  return null;
};

/** It goes, with its links, once nobody has it open either. */
export const removeNamedNamespace = (path: string): void => {
  try {
    unmount(path, unmountFlags.detach | unmountFlags.noFollow);
  } catch (error) {
    if (!isErrno(error, 'EINVAL') && !isErrno(error, 'ENOENT')) throw error;
  }
  rmSync(path, { force: true });
};
