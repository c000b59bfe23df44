/** A machine's limits on cgroup v1 and hybrid hosts, all of them or none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';
import type { Resources } from '../../model/resources.ts';
import { Change } from './change.ts';
import { numberOf, tableOf } from './files.ts';
import type { ControlFiles } from './files.ts';
import { putIoV1 } from './io.ts';
import type { IoDisk } from './io.ts';
import { cpuShares, memoryBytes, memoryLimit, quotaPeriodUs, quotaUs, tooSmall } from './settings.ts';

/** Missing where the kernel does not count swap. */
export const withSwapFile = 'memory.memsw.limit_in_bytes';
const memoryFile = 'memory.limit_in_bytes';
const attempts = 5;

/** The machine's directory in each controller's tree. */
export interface GroupsV1 {
  memory: string;
  cpu: string;
  pids: string;
  blkio: string | null;
}

export const applyV1 = async (files: ControlFiles, groups: GroupsV1, resources: Resources, poolMib: number, disk: IoDisk | null): Promise<void> => {
  const { memory, cpu, pids, blkio } = groups;
  const limit = memoryLimit(resources, poolMib);
  const former = numberOf(files.read(memory, memoryFile));
  const formerWithSwap = files.find(memory, withSwapFile);
  if (formerWithSwap !== null && limit < numberOf(formerWithSwap)) refuseTooSmall(files, memory, limit);
  await using change = new Change(files);
  // The ceiling is for memory and swap together, else a machine that takes too much would fill the host's swap; and the kernel wants the
  // first never above the second. Less memory may be refused, so it comes first. More cannot be taken back once it is used: it comes last.
  if (limit < former) await shrink(change, memory, memoryFile, former, limit);
  if (formerWithSwap !== null && limit < numberOf(formerWithSwap)) await shrink(change, memory, withSwapFile, numberOf(formerWithSwap), limit);
  change.put(memory, 'memory.soft_limit_in_bytes', memoryBytes(resources.memoryMib));
  change.put(cpu, 'cpu.shares', cpuShares(resources));
  change.put(cpu, 'cpu.cfs_period_us', quotaPeriodUs);
  change.put(cpu, 'cpu.cfs_quota_us', quotaUs(resources) ?? -1);
  change.put(pids, 'pids.max', resources.processes);
  if (disk !== null && blkio !== null) putIoV1(change, blkio, disk, resources);
  if (formerWithSwap !== null && limit > numberOf(formerWithSwap)) change.put(memory, withSwapFile, limit, numberOf(formerWithSwap));
  if (limit > former) change.put(memory, memoryFile, limit, former);
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

/** The kernel reclaims by itself on this write and says EBUSY when it cannot get below; then the old limit still stands and nobody is killed. */
const shrink = (change: Change, group: string, file: string, former: number, limit: number): Promise<void> => {
  const { files } = change;
  return change.putSlowly(group, file, former === Infinity ? -1 : former, async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        await files.writeSlowly(group, file, limit);
        return;
      } catch (error) {
        if (!isErrno(error, 'EBUSY')) throw error;
        if (attempt === attempts) throw tooSmall(numberOf(files.read(group, file.replace('limit', 'usage'))), limit);
        await sleep(attempt);
      }
    }
  });
};
