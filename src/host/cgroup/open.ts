/** Chooses the back end this host's hierarchies call for. */
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Pressure } from '../../model/machine.ts';
import type { Cgroups, PoolAmount } from './cgroup.ts';
import { detectLayout } from './layout.ts';
import type { ParentGroup } from './parent.ts';
import { CgroupsV1 } from './v1.ts';
import { PoolCpuV1, PoolCpuV2 } from './pool-cpu.ts';
import type { PoolCpu } from './pool-cpu.ts';
import type { PoolMemory } from './pool-memory.ts';
import { PoolMemoryV1 } from './pool-memory-v1.ts';
import { PoolMemoryV2 } from './pool-memory-v2.ts';
import { groupPressure } from './pressure.ts';
import { CgroupsV2 } from './v2.ts';

export interface CgroupOptions {
  /** The group all machines of this instance live in. */
  parent: ParentGroup;
  pool: PoolAmount;
  /** The disk that their files are on (`7:3`), for shares and limits of I/O; null where it is not one disk. */
  disk: string | null;
  logger: Logger;
}

export const openCgroups = async (options: CgroupOptions): Promise<Cgroups> => {
  const layout = detectLayout();
  if (layout.unified === null)
    throw new CenoteError('unsupported', 'the v2 hierarchy of control groups is not mounted on this host', {
      advice:
        layout.v1.size === 0 ? 'mount -t cgroup2 cgroup2 /sys/fs/cgroup' : 'mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified',
    });
  const opened = layout.v1.has('memory') ? new CgroupsV1(layout, layout.unified, options) : new CgroupsV2(layout.unified, options);
  await opened.setPool(options.pool);
  return opened;
};

export interface PoolControls {
  memory: PoolMemory;
  cpu: PoolCpu;
  /** Of a machine; null where the kernel has none. */
  pressure: (machine: string) => Pressure | null;
}

/** What the governor sees and moves, of the groups that `openCgroups` has made. */
export const openPoolControls = ({ parent }: { parent: Pick<ParentGroup, 'path'> }): PoolControls => {
  const { v1, unified } = detectLayout();
  const within = (tree: string | null | undefined): string => join(tree ?? '', parent.path);
  const pressure = (machine: string) => groupPressure(join(within(unified), machine));
  if (!v1.has('memory')) return { memory: new PoolMemoryV2(within(unified)), cpu: new PoolCpuV2(within(unified)), pressure };
  return { memory: new PoolMemoryV1(within(v1.get('memory'))), cpu: new PoolCpuV1(within(v1.get('cpu')), within(v1.get('cpuacct'))), pressure };
};
