/**
 * A machine's limits on cgroup v1 and hybrid hosts, all of them or none. Where it is known what was last set (`former`), what stays the same is
 * neither read nor written; but for memory, which the governor moves too, and the quota of one that is metered, which the meter does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';
import type { Resources } from '../../model/resources.ts';
import { Change } from './change.ts';
import { numberOf, tableOf } from './files.ts';
import type { ControlFiles } from './files.ts';
import { hasSameIo, putIoV1 } from './io.ts';
import type { IoDisk } from './io.ts';
import { cpuShares, memoryBytes, memoryLimit, quotaPeriodUs, quotaUs, tooSmall } from './settings.ts';

/** Missing where the kernel does not count swap. */
export const withSwapFile = 'memory.memsw.limit_in_bytes';
const memoryFile = 'memory.limit_in_bytes';
const usageFile = 'memory.usage_in_bytes';
const usageWithSwapFile = 'memory.memsw.usage_in_bytes';
const attempts = 5;
/** More than a machine takes between a look and the write that follows it. */
const roomBytes = 16 * 2 ** 20;

/** The machine's directory in each controller's tree. */
export interface GroupsV1 {
  memory: string;
  cpu: string;
  pids: string;
  blkio: string | null;
}

export const applyV1 = async (
  files: ControlFiles,
  groups: GroupsV1,
  { resources, former, poolMib, disk }: { resources: Resources; former: Resources | null; poolMib: number; disk: IoDisk | null },
): Promise<void> => {
  const { memory, cpu, pids, blkio } = groups;
  const limit = memoryLimit(resources, poolMib);
  const formerLimit = numberOf(files.read(memory, memoryFile));
  const withSwap = files.find(memory, withSwapFile);
  const formerWithSwap = withSwap === null ? null : numberOf(withSwap);
  const lowersBoth = formerWithSwap !== null && limit < formerWithSwap;
  const used = lowersBoth || limit < formerLimit ? numberOf(files.read(memory, formerWithSwap === null ? usageFile : usageWithSwapFile)) : 0;
  if (lowersBoth && used > limit) refuseTooSmall(files, memory, limit);
  let hasRoom = used + roomBytes <= limit;
  await using change = new Change(files);
  // The ceiling is for memory and swap together, else a machine that takes too much would fill the host's swap; and the kernel wants the
  // first never above the second. Less memory may be refused, so it comes first. More cannot be taken back once it is used: it comes last.
  if (limit < formerLimit) hasRoom = await shrink(change, memory, memoryFile, formerLimit, limit, hasRoom);
  if (lowersBoth) await shrink(change, memory, withSwapFile, formerWithSwap, limit, hasRoom);
  const put = (group: string, file: string, value: (resources: Resources) => number) =>
    change.put(group, file, value(resources), former === null ? undefined : value(former));
  put(memory, 'memory.soft_limit_in_bytes', ({ memoryMib }) => memoryBytes(memoryMib));
  put(cpu, 'cpu.shares', cpuShares);
  put(cpu, 'cpu.cfs_period_us', () => quotaPeriodUs);
  const isMetered = resources.burst !== null || former?.burst !== null;
  change.put(cpu, 'cpu.cfs_quota_us', quotaUs(resources) ?? -1, isMetered ? undefined : (quotaUs(former) ?? -1));
  put(pids, 'pids.max', ({ processes }) => processes);
  if (disk !== null && blkio !== null && !(former !== null && hasSameIo(former, resources))) putIoV1(change, blkio, disk, resources);
  if (formerWithSwap !== null && limit > formerWithSwap) change.put(memory, withSwapFile, limit, formerWithSwap);
  if (limit > formerLimit) change.put(memory, memoryFile, limit, formerLimit);
  change.keep();
};

/**
 * What a machine has of its own, in memory and in swap, cannot be brought below a limit for both together. The kernel would find out
 * only after it had pushed all of it to swap, and the machine would stand still until it has it back.
 */
const refuseTooSmall = (files: ControlFiles, memory: string, limit: number): void => {
  const stat = files.find(memory, 'memory.stat');
  if (stat === null) return;
  const { total_rss: own = 0, total_shmem: shared = 0, total_swap: swapped = 0 } = tableOf(stat);
  const floor = own + shared + swapped;
  if (floor > limit) throw tooSmall(floor, limit, swapped);
};

/**
 * The kernel reclaims by itself on this write and says EBUSY when it cannot get below; then the old limit still stands and nobody is killed. Where
 * there is room it has nothing to do, and it is not worth a thread. Whether there was.
 */
const shrink = async (change: Change, group: string, file: string, formerLimit: number, limit: number, hasRoom: boolean): Promise<boolean> => {
  const { files } = change;
  const former = formerLimit === Infinity ? -1 : formerLimit;
  if (hasRoom) {
    try {
      change.put(group, file, limit, former);
      return true;
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
    }
  }
  await change.putSlowly(group, file, former, async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        await files.writeSlowly(group, file, limit);
        return;
      } catch (error) {
        if (!isErrno(error, 'EBUSY')) throw error;
        if (attempt === attempts) throw tooSmall(numberOf(files.read(group, file === memoryFile ? usageFile : usageWithSwapFile)), limit);
        await sleep(attempt);
      }
    }
  });
  return false;
};
