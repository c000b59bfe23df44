/**
 * What a hybrid host's control groups need: crun refuses it while a controller is left on v2, and hugetlb is the one that usually is.
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
