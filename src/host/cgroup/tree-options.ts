/**
 * The mount option `favordynmods` of the v2 tree. Putting a process into a group waits for a grace period of the kernel, 8-14 ms of every
 * start; with the option it does not (Linux 6.0; it is one switch for all hierarchies).
 *
 * The options are the tree's, not a mount's: whoever mounts it once more sets all of them anew, and lxcfs does so at each start, with none.
 * Then not only ours is gone, but those that systemd mounted it with. So the agent looks now and then and puts them back.
 */
import { readFileSync } from 'node:fs';
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import { mountFlags, mountFs } from '../../sys/mount.ts';

export interface TreeOptions {
  /** Mount point. */
  path: string;
  options: string;
}

const lookEveryMs = 2000;

/** Under which the host-wide record notes what the options were before. */
export const treeOptionsKey = (path: string): string => `favordynmods:${path}`;

/** The v2 tree when it lacks the option; null where there is no such tree. */
export const undynamicTree = (mounts = readFileSync('/proc/mounts', 'utf8')): TreeOptions | null => {
  const [, path, , options] =
    mounts
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , type]) => type === 'cgroup2') ?? [];
  if (path === undefined || options === undefined || options.split(',').includes(favor)) return null;
  return { path, options };
};

/** Idempotent; false where the kernel does not know the option. */
export const setDynamic = (tree: TreeOptions, on: boolean): boolean => {
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

/** `former`: what the options were before Cenote changed them, by the key above; null where it did not. */
export const keepTreeOptions = (former: (key: string) => string | null, logger: Logger): Disposable => {
  const look = (): void => {
    try {
      const tree = undynamicTree();
      const options = tree === null ? null : former(treeOptionsKey(tree.path));
      if (tree === null || options === null) return;
      if (setDynamic({ path: tree.path, options }, true)) logger.info({ tree: tree.path, found: tree.options }, 'mount options of the control groups put back');
    } catch (error) {
      logger.warn({ error: messageChain(error) }, 'mount options of the control groups could not be put back');
    }
  };
  look();
  const timer = setInterval(look, lookEveryMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
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
