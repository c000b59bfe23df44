/**
 * What control groups need of a host. Everywhere: the mount option `favordynmods`. Putting a process into a group waits for a grace period
 * of the kernel, 8-14 ms of every start; with the option it does not (Linux 6.0; it is one switch for all hierarchies).
 * A hybrid host needs one change more: crun refuses it while a controller is left on v2, and hugetlb is the one that usually is.
 * Mounting it as a v1 hierarchy is additive: nothing of other software moves.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import type { CgroupLayout } from '../host/cgroup/layout.ts';
import { isErrno } from '../sys/libc.ts';
import { mountFlags, mountFs, unmount } from '../sys/mount.ts';

const path = '/sys/fs/cgroup/hugetlb';

/** Where the missing hierarchy belongs, or null when none is missing. */
export const missingHierarchy = (layout: CgroupLayout, cgroups = readFileSync('/proc/cgroups', 'utf8')): string | null => {
  if (layout.unified === null || layout.v1.size === 0 || layout.v1.has('hugetlb')) return null;
  return /^hugetlb\s/m.test(cgroups) ? path : null;
};

export const mountHierarchy = (): void => {
  if (!existsSync(path)) mkdirSync(path);
  mountFs('cgroup', path, 'cgroup', mountFlags.noSuid | mountFlags.noDev | mountFlags.noExec, 'hugetlb');
};

/** Left as it is while someone has groups in it. */
export const unmountHierarchy = (): void => {
  try {
    unmount(path);
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, 'EBUSY', 'EINVAL', 'ENOENT')) throw error;
  }
};

/** The v2 tree's mount point and options when it lacks the option; null where there is no such tree. */
export const undynamicTree = (mounts = readFileSync('/proc/mounts', 'utf8')): { path: string; options: string } | null => {
  const [, path, , options] =
    mounts
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , type]) => type === 'cgroup2') ?? [];
  if (path === undefined || options === undefined || options.split(',').includes(favor)) return null;
  return { path, options };
};

/** Idempotent; false where the kernel does not know the option. */
export const setDynamic = (tree: { path: string; options: string }, on: boolean): boolean => {
  const [flags, own] = splitOptions(tree.options);
  const wanted = [...own.filter((option) => option !== favor), ...(on ? [favor] : [])];
  try {
    mountFs('cgroup2', tree.path, 'cgroup2', mountFlags.remount | flags, wanted.join(','));
    return true;
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'EPERM')) return false;
    throw error;
  }
};

const favor = 'favordynmods';
const generic: Record<string, number> = {
  ro: mountFlags.readOnly,
  nosuid: mountFlags.noSuid,
  nodev: mountFlags.noDev,
  noexec: mountFlags.noExec,
  rw: 0,
  relatime: 0,
};

/** What mount(2) takes as flags, and what is the file system's own: a remount sets both anew. */
const splitOptions = (options: string): [number, string[]] => {
  const all = options.split(',');
  return [all.reduce((sum, option) => sum | (generic[option] ?? 0), 0), all.filter((option) => generic[option] === undefined)];
};
