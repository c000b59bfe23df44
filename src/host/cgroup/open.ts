/** Chooses the back end this host's hierarchies call for. */
import { CenoteError } from '../../base/errors.ts';
import type { Cgroups } from './cgroup.ts';
import { detectLayout } from './layout.ts';
import { CgroupsV1 } from './v1.ts';
import { CgroupsV2 } from './v2.ts';

export interface CgroupOptions {
  /** The group all machines of this instance live in, absolute from the root of each hierarchy: `/cenote-a`. */
  parent: string;
  /** What the machines together may use. */
  poolMib: number;
  poolCpuMillis: number;
}

export const openCgroups = (options: CgroupOptions): Cgroups => {
  const layout = detectLayout();
  if (layout.v1.has('memory')) return new CgroupsV1(layout, options);
  if (layout.unified === null)
    throw new CenoteError('unsupported', 'no control groups are mounted on this host', { advice: 'mount cgroup2 on /sys/fs/cgroup' });
  return new CgroupsV2(layout.unified, options);
};
