/**
 * A machine's limits on cgroup v2, all of them or none. Where it is known what was last set (`former`), what stays the same is neither read nor
 * written; but for memory, which the governor moves too, and the quota, which the meter does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { isErrno } from '../../base/errno.ts';
import type { Resources } from '../../model/resources.ts';
import { Change } from './change.ts';
import { numberOf, tableOf } from './files.ts';
import type { ControlFiles } from './files.ts';
import { hasSameIo, putIoV2 } from './io.ts';
import type { IoDisk } from './io.ts';
import { cpuWeight, memoryBytes, memoryLimit, quotaPeriodUs, quotaUs, tooSmall } from './settings.ts';

const reclaimStepBytes = 64 * 2 ** 20;
const reclaimDeadlineMs = 5000;
const retryMs = 5;
/** Reclaims in a row that free nothing: the kernel has tried hard by then. */
const vainAttempts = 5;
/** How often a machine may grow back between the reclaim and the limit. */
const attempts = 20;

export const applyV2 = async (
  files: ControlFiles,
  group: string,
  { resources, former, poolMib, disk }: { resources: Resources; former: Resources | null; poolMib: number; disk: IoDisk | null },
): Promise<void> => {
  const limit = memoryLimit(resources, poolMib);
  const formerLimit = numberOf(files.read(group, 'memory.max'));
  await using change = new Change(files);
  // Less memory may be refused, so it comes first. More cannot be taken back once it is used: it comes last.
  if (limit < formerLimit) await shrink(change, group, formerLimit, limit);
  // A hold for moments only (below, and the governor's); an agent that was killed in such a moment has left it.
  change.put(group, 'memory.high', 'max');
  // Not without end, else a machine that takes too much would fill the host's swap. Missing where the kernel does not count swap.
  if (files.find(group, 'memory.swap.max') !== null) change.put(group, 'memory.swap.max', limit);
  const put = (file: string, value: (resources: Resources) => number) => change.put(group, file, value(resources), former === null ? undefined : value(former));
  put('memory.min', ({ memoryMib }) => memoryBytes(memoryMib));
  put('cpu.weight', cpuWeight);
  change.put(group, 'cpu.max', `${quotaUs(resources) ?? 'max'} ${quotaPeriodUs}`);
  put('pids.max', ({ processes }) => processes);
  if (disk !== null && !(former !== null && hasSameIo(former, resources))) putIoV2(change, group, disk, resources);
  if (limit > formerLimit) change.put(group, 'memory.max', limit);
  change.keep();
};

/**
 * A write of `memory.max` below what is used kills. So memory is reclaimed first, then `memory.high` holds the machine there for the moment
 * in which `memory.max` follows: what it wants to take meanwhile waits, and is not killed for.
 */
const shrink = async (change: Change, group: string, former: number, limit: number): Promise<void> => {
  const { files } = change;
  const deadline = performance.now() + reclaimDeadlineMs;
  const used = () => numberOf(files.read(group, 'memory.current'));
  for (let attempt = 1; ; attempt++) {
    await reclaimTo(files, group, limit, deadline);
    change.put(group, 'memory.high', limit, 'max');
    try {
      if (used() <= limit) {
        await change.putSlowly(group, 'memory.max', former === Infinity ? 'max' : former, () => files.writeSlowly(group, 'memory.max', limit));
        return;
      }
    } finally {
      files.write(group, 'memory.high', 'max');
    }
    if (attempt === attempts) throw tooSmall(used(), limit);
  }
};

/** Reclaims until the group uses at most `target`, or refuses with what it could not get below. */
const reclaimTo = async (files: ControlFiles, group: string, target: number, deadline: number): Promise<void> => {
  let least = Infinity;
  for (let vain = 0; ;) {
    const current = numberOf(files.read(group, 'memory.current'));
    if (current <= target) return;
    vain = current < least ? 0 : vain + 1;
    least = Math.min(least, current);
    const stat = tableOf(files.read(group, 'memory.stat'));
    const swap = hasSwap();
    const floor = swap ? 0 : (stat['anon'] ?? 0) + (stat['shmem'] ?? 0) + (stat['kernel'] ?? 0) - (stat['slab_reclaimable'] ?? 0);
    if (floor > target || vain === vainAttempts || performance.now() > deadline) throw tooSmall(Math.max(floor, swap ? current : floor), target);
    try {
      await files.writeSlowly(group, 'memory.reclaim', Math.min(reclaimStepBytes, current - target));
    } catch (error) {
      // EAGAIN: less was reclaimed than asked; the loop looks again. Without memory.reclaim (before 5.19) the machine stays as it is.
      if (isErrno(error, 'ENOENT')) throw tooSmall(current, target);
      if (!isErrno(error, 'EAGAIN')) throw error;
      await sleep(retryMs);
    }
  }
};

const hasSwap = (): boolean => readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
