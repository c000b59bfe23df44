/**
 * Memory of the pool on cgroup v1 and hybrid hosts. There is no `memory.min` and no `memory.reclaim`: a limit written below what is used
 * makes the kernel reclaim down to it, or say EBUSY and keep the old one, with nobody killed. What a neighbour's need is to spare has
 * `memory.swappiness` 1: the kernel's reclaim for the pool's limit then takes from others, as long as there is anything to take, and still
 * swaps rather than kill. It is no bar for files in memory, which are on the list that is scanned a little all the same, and go when they
 * are met there, since nobody has them mapped: 1 to 7 of 200 MiB, measured with the kernel alone; 70 at most in a trial. With 0 none of them
 * went, in the same time. But with 0 a machine at its own limit would be killed beside empty swap; so it is written to those that have no
 * limit below the pool's, while others have enough and are taken back from, and to borrowers only while there is no swap left, not to have
 * cache taken first, which the kernel does by itself: the agent may die before it writes another.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errno.ts';
import { ifPresent, readNumber, readPids, readTable, write } from './files.ts';
import { isOffered, offerAll, oomScoreWithin } from './oom-score.ts';
import { gaveLittle } from './pool-memory.ts';
import type {
  Hold,
  KilledProcess,
  KillRequest,
  Leftover,
  MachineMemory,
  PoolMemory,
  PoolTotals,
  Protection,
  Reclaimed,
  ReclaimRequest,
} from './pool-memory.ts';
import { nothingThere, reclaimable } from './reclaimable.ts';
import { killLargest } from './victim.ts';

const limitFile = 'memory.limit_in_bytes';
const usageFile = 'memory.usage_in_bytes';
const withSwapLimitFile = 'memory.memsw.limit_in_bytes';
const withSwapUsageFile = 'memory.memsw.usage_in_bytes';
const swappinessFile = 'memory.swappiness';
/** For `none` the kernel's own default: file pages first, as long as they are not in use themselves. */
const swappiness: Readonly<Record<Protection, number>> = { none: 60, spared: 1, barred: 0 };

const limitsHoldMs = 1000;

interface PoolLimits {
  limitBytes: number;
  /** Null where the kernel does not count swap. */
  withSwapBytes: number | null;
  readAtMs: number;
}

export class PoolMemoryV1 implements PoolMemory {
  /** The instance's directory in the memory controller's tree. */
  readonly #parent: string;
  #limits: PoolLimits | null = null;

  constructor(parent: string) {
    this.#parent = parent;
  }

  totals(): PoolTotals {
    const { limitBytes, withSwapBytes } = this.#poolLimits();
    const usedBytes = readNumber(this.#parent, usageFile);
    if (withSwapBytes === null) return { limitBytes, usedBytes, swapLeftBytes: Infinity };
    // One limit is for both together: what is not used of memory could be had as swap too, and would then be missing as memory.
    const swapLeftBytes = withSwapBytes - limitBytes - (readNumber(this.#parent, withSwapUsageFile) - usedBytes);
    return { limitBytes, usedBytes: usedBytes + Math.max(0, -swapLeftBytes), swapLeftBytes };
  }

  read(machine: string): MachineMemory | null {
    const group = this.#group(machine);
    return ifPresent(() => ({ usedBytes: readNumber(group, usageFile), limitBytes: readNumber(group, limitFile) }));
  }

  takeable(machine: string): number {
    return reclaimable(this.#group(machine), 'total_') ?? 0;
  }

  peak(machine: string): number | null {
    return ifPresent(() => readNumber(this.#group(machine), 'memory.max_usage_in_bytes'));
  }

  kills(machine: string): number {
    return ifPresent(() => readTable(this.#group(machine), 'memory.oom_control')['oom_kill'] ?? 0) ?? 0;
  }

  async limit(machine: string, { bytes }: Hold): Promise<void> {
    const group = this.#group(machine);
    const used = ifPresent(() => readNumber(group, usageFile));
    if (used === null) return;
    const wanted = Math.max(bytes, used);
    // Memory may not have a higher limit than memory and swap together, which may be held too.
    const both = this.#withSwap(group);
    if (both !== null && both.limitBytes < wanted) await setLimit(group, wanted + both.swappedBytes, withSwapLimitFile);
    await setLimit(group, wanted);
  }

  async allowSwap(machine: string, isAllowed: boolean, ceilingBytes: number): Promise<void> {
    const group = this.#group(machine);
    const both = this.#withSwap(group);
    if (both === null) return;
    const held = Math.max(both.usedBytes, readNumber(group, limitFile));
    await setLimit(group, isAllowed ? ceilingBytes : held, withSwapLimitFile);
  }

  protect(machine: string, protection: Protection): void {
    ifPresent(() => write(this.#group(machine), swappinessFile, swappiness[protection]));
  }

  offer(machine: string, isWanted: boolean, guaranteeBytes: number): Promise<void> {
    return offerAll(() => this.#pids(machine), isWanted, oomScoreWithin(guaranteeBytes / this.#poolLimits().limitBytes));
  }

  leftover(machine: string, ceilingBytes: number): Leftover {
    const both = this.#withSwap(this.#group(machine));
    return { isSwapHeld: both !== null && both.limitBytes < ceilingBytes, isOffered: isOffered(this.#pids(machine)) };
  }

  async reclaim(machine: string, { bytes, maySwap, floorBytes }: ReclaimRequest): Promise<Reclaimed> {
    const group = this.#group(machine);
    const before = ifPresent(() => readNumber(group, usageFile));
    if (before === null) return nothingThere;
    this.protect(machine, maySwap ? 'none' : 'barred');
    const reached = await setLimit(group, Math.max(floorBytes, before - bytes));
    if (!maySwap) this.protect(machine, 'none');
    const after = ifPresent(() => readNumber(group, usageFile)) ?? 0;
    // After EBUSY the old limit stands: what was freed on the way must not be taken again at once.
    if (!reached && after < before) await setLimit(group, Math.max(floorBytes, after));
    const freedBytes = Math.max(0, before - after);
    return { freedBytes, leftBytes: maySwap && gaveLittle(bytes, freedBytes) ? (reclaimable(group, 'total_') ?? Infinity) : Infinity };
  }

  kill(machine: string, request: KillRequest): Promise<KilledProcess[]> {
    const group = this.#group(machine);
    const usedBytes = () => ifPresent(() => readNumber(group, usageFile)) ?? 0;
    const kernelBytes = () => ifPresent(() => readNumber(group, 'memory.kmem.usage_in_bytes')) ?? 0;
    return killLargest({ pids: () => this.#pids(machine), usedBytes, kernelBytes, limitBytes: this.totals().limitBytes }, request);
  }

  #pids(machine: string): number[] {
    return ifPresent(() => readPids(this.#group(machine))) ?? [];
  }

  /** They change when an instance's share does: not every few milliseconds. */
  #poolLimits(): PoolLimits {
    const nowMs = performance.now();
    if (this.#limits !== null && nowMs - this.#limits.readAtMs < limitsHoldMs) return this.#limits;
    const withSwapBytes = ifPresent(() => readNumber(this.#parent, withSwapLimitFile));
    return (this.#limits = { limitBytes: readNumber(this.#parent, limitFile), withSwapBytes, readAtMs: nowMs });
  }

  /** Null where the kernel does not count swap. */
  #withSwap(group: string): { limitBytes: number; usedBytes: number; swappedBytes: number } | null {
    return ifPresent(() => {
      const usedBytes = readNumber(group, withSwapUsageFile);
      return { limitBytes: readNumber(group, withSwapLimitFile), usedBytes, swappedBytes: Math.max(0, usedBytes - readNumber(group, usageFile)) };
    });
  }

  #group(machine: string): string {
    return join(this.#parent, machine);
  }
}

/** On the thread pool, since the kernel answers when it has reclaimed. False when it cannot. */
export const setLimit = async (group: string, bytes: number, file = limitFile): Promise<boolean> => {
  try {
    await writeFile(join(group, file), String(bytes));
    return true;
  } catch (error) {
    // EINVAL: above the limit for memory and swap together, which a resize has just lowered. ENOENT: it has ended.
    if (isErrno(error, 'EBUSY', 'EINVAL', 'EINTR', 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
};
