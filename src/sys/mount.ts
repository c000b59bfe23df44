/**
 * Mounts. The old calls (mount, umount2) and the new ones (open_tree, mount_setattr, move_mount), which make detached and
 * idmapped mounts. A detached mount is a descriptor: it is reachable as /proc/self/fd/N, appears in no mount table, and is gone
 * when the descriptor closes, except where an overlay or a bind holds a copy of it.
 */
import { callAsync, checked, closeFd, declare } from './libc.ts';

/** Numbers of the calls glibc 2.36 has no wrapper for; the same on every architecture Node runs on. */
const systemCalls = { openTree: 428, moveMount: 429, fsOpen: 430, fsConfig: 431, fsMount: 432, mountSetattr: 442 } as const;

const atFdCwd = -100;
const atEmptyPath = 0x1000;
const atRecursive = 0x8000;
const openTreeClone = 1;
const openTreeCloexec = 0o2000000;
const moveMountFromEmptyPath = 4;
const fsCloexec = 1;
const configure = { string: 1, create: 6 } as const;
const attrReadOnly = 1n;
const attrNoDev = 4n;
const attrIdmap = 0x00100000n;

export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  noAtime: 1024,
  bind: 4096,
  recursive: 16384,
  private: 1 << 18,
} as const;
export const unmountFlags = { detach: 2, noFollow: 8 } as const;

const mountFunction = declare('int mount(const char* source, const char* target, const char* type, unsigned long flags, const char* data)');
const umountFunction = declare('int umount2(const char* target, int flags)');
const openTreeCall = declare('long syscall(long number, int fd, const char* path, unsigned int flags)');
const moveMountCall = declare('long syscall(long number, int fromFd, const char* fromPath, int toFd, const char* toPath, unsigned int flags)');
const setattrCall = declare('long syscall(long number, int fd, const char* path, unsigned int flags, void* attributes, size_t size)');

const fsOpenCall = declare('long syscall(long number, const char* type, unsigned int flags)');
const fsConfigCall = declare('long syscall(long number, int fd, unsigned int command, const char* key, const char* value, int aux)');
const fsMountCall = declare('long syscall(long number, int fd, unsigned int flags, unsigned int attributes)');

export const mountFs = (source: string, target: string, type: string | null, flags: number, data: string | null): void => {
  checked(`mount ${type ?? ''} on ${target}`, mountFunction(source, target, type, flags, data) as number);
};

export const unmount = (target: string, flags = 0): void => {
  checked(`unmount ${target}`, umountFunction(target, flags) as number);
};

/** On the thread pool: the last unmount of a file system waits for its writes. */
export const unmountAsync = async (target: string, flags = 0): Promise<void> => {
  await callAsync(`unmount ${target}`, umountFunction, target, flags);
};

export interface CloneOptions {
  /** An open user namespace: ids on disk appear as that namespace maps them. */
  idmapFd?: number | undefined;
  readOnly?: boolean | undefined;
  /** With everything mounted below. */
  recursive?: boolean | undefined;
}

/** A detached copy of the mount at `path`; the caller closes the descriptor. */
export const cloneMount = (path: string, options: CloneOptions = {}): number => {
  const recursive = options.recursive === true ? atRecursive : 0;
  const fd = checked(`open_tree ${path}`, Number(openTreeCall(systemCalls.openTree, atFdCwd, path, openTreeClone | openTreeCloexec | recursive)));
  const set = attrNoDev | (options.readOnly === true ? attrReadOnly : 0n) | (options.idmapFd === undefined ? 0n : attrIdmap);
  // struct mount_attr: attr_set, attr_clr, propagation, userns_fd, 64 bits each
  const attributes = new BigUint64Array([set, 0n, BigInt(mountFlags.private), BigInt(options.idmapFd ?? 0)]);
  try {
    checked(`mount_setattr ${path}`, Number(setattrCall(systemCalls.mountSetattr, fd, '', atEmptyPath | recursive, attributes, attributes.byteLength)));
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
};

/** A new file system as a detached mount without devices; the caller closes the descriptor. Values are at most 255 bytes each. */
export const detachedMount = (type: string, options: Readonly<Record<string, string>>, readOnly = true): number => {
  const context = checked(`fsopen ${type}`, Number(fsOpenCall(systemCalls.fsOpen, type, fsCloexec)));
  try {
    const config = (command: number, key: string | null, value: string | null) =>
      checked(`fsconfig ${type} ${key ?? ''}`, Number(fsConfigCall(systemCalls.fsConfig, context, command, key, value, 0)));
    for (const [key, value] of Object.entries(options)) config(configure.string, key, value);
    config(configure.create, null, null);
    return checked(`fsmount ${type}`, Number(fsMountCall(systemCalls.fsMount, context, fsCloexec, Number((readOnly ? attrReadOnly : 0n) | attrNoDev))));
  } finally {
    closeFd(context);
  }
};

/** Puts a detached mount in its place. */
export const attachMount = (fd: number, target: string): void => {
  checked(`move_mount to ${target}`, Number(moveMountCall(systemCalls.moveMount, fd, '', atFdCwd, target, moveMountFromEmptyPath)));
};
