/**
 * Memory of the pool on cgroup v2. `memory.min` keeps the kernel's reclaim away from what is guaranteed; but when nothing can be reclaimed
 * at the pool's limit, the kernel kills anywhere below it. So what is borrowed is held by `memory.max` here too, and a write of
 * `memory.max` never goes below what is used, for that would kill.
 *
 * `memory.reclaim` alone takes nothing from a machine that wants it all back at once: what it frees is swapped in again while it frees more.
 * So memory of the machine's own is taken by `memory.high`, which holds while the kernel reclaims, and is lifted when `memory.max` has followed.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errno.ts';
import { ifPresent, readNumber, readPids, readTable } from './files.ts';
import { isOffered, offerAll, oomScoreWithin } from './oom-score.ts';
import type { KilledProcess, Leftover, MachineMemory, PoolMemory, PoolTotals, ReclaimRequest } from './pool-memory.ts';
import { killLargestOf } from './victim.ts';

/** What a machine may take between our look and our write. */
const marginBytes = 2 * 2 ** 20;

export class PoolMemoryV2 implements PoolMemory {
  readonly #parent: string;
  /** Kernels before 6.8 know no `swappiness=` in `memory.reclaim`. */
  #takesSwappiness = true;

  constructor(parent: string) {
    this.#parent = parent;
  }

  totals(): PoolTotals {
    const swapLeftBytes = ifPresent(() => readNumber(this.#parent, 'memory.swap.max') - readNumber(this.#parent, 'memory.swap.current')) ?? Infinity;
    return { limitBytes: readNumber(this.#parent, 'memory.max'), usedBytes: readNumber(this.#parent, 'memory.current'), swapLeftBytes };
  }

  read(machine: string): MachineMemory | null {
    const group = this.#group(machine);
    return ifPresent(() => ({ usedBytes: readNumber(group, 'memory.current'), limitBytes: readNumber(group, 'memory.max') }));
  }

  kills(machine: string): number {
    return ifPresent(() => readTable(this.#group(machine), 'memory.events')['oom_kill'] ?? 0) ?? 0;
  }

  async limit(machine: string, bytes: number): Promise<void> {
    const group = this.#group(machine);
    const used = ifPresent(() => readNumber(group, 'memory.current'));
    if (used !== null) await put(group, 'memory.max', Math.max(bytes, used + marginBytes));
  }

  async allowSwap(machine: string, isAllowed: boolean, ceilingBytes: number): Promise<void> {
    const group = this.#group(machine);
    const swapped = ifPresent(() => readNumber(group, 'memory.swap.current'));
    if (swapped !== null) await put(group, 'memory.swap.max', isAllowed ? ceilingBytes : swapped);
  }

  protect(): void {}

  offer(machine: string, isWanted: boolean, guaranteeBytes: number): Promise<void> {
    return offerAll(() => this.#pids(machine), isWanted, oomScoreWithin(guaranteeBytes / readNumber(this.#parent, 'memory.max')));
  }

  leftover(machine: string, ceilingBytes: number): Leftover {
    const swapMax = ifPresent(() => readNumber(this.#group(machine), 'memory.swap.max')) ?? Infinity;
    return { isSwapHeld: swapMax < ceilingBytes, isOffered: isOffered(this.#pids(machine)) };
  }

  async reclaim(machine: string, { bytes, maySwap, floorBytes }: ReclaimRequest): Promise<number> {
    const group = this.#group(machine);
    const used = () => ifPresent(() => readNumber(group, 'memory.current')) ?? 0;
    const before = used();
    if (before === 0) return 0;
    await this.limit(machine, floorBytes);
    if (this.#takesSwappiness) this.#takesSwappiness = (await put(group, 'memory.reclaim', `${bytes} swappiness=0`)) !== 'EINVAL';
    const left = Math.ceil(bytes - Math.max(0, before - used()));
    if (left > 0 && maySwap) {
      // One at work takes back at once what is freed, so it is held for this step; the kernel takes cache first by itself.
      await put(group, 'memory.high', Math.max(floorBytes, before - bytes));
      await this.limit(machine, floorBytes);
      await put(group, 'memory.high', 'max');
    } else {
      // A kernel that cannot be asked for cache alone swaps none where that is held.
      if (left > 0 && !this.#takesSwappiness) await put(group, 'memory.reclaim', left);
      await this.limit(machine, floorBytes);
    }
    return Math.max(0, before - used());
  }

  async killLargest(machine: string): Promise<KilledProcess | null> {
    return killLargestOf(() => this.#pids(machine), this.totals().limitBytes);
  }

  #pids(machine: string): number[] {
    return ifPresent(() => readPids(this.#group(machine))) ?? [];
  }

  #group(machine: string): string {
    return join(this.#parent, machine);
  }
}

/** On the thread pool, since the kernel answers when it has reclaimed. EAGAIN is less than asked, which the caller measures. */
const put = async (group: string, file: string, value: string | number): Promise<'done' | 'EINVAL' | 'less'> => {
  try {
    await writeFile(join(group, file), String(value));
    return 'done';
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return 'EINVAL';
    if (isErrno(error, 'EAGAIN', 'EBUSY', 'EINTR', 'ENOENT', 'ENODEV')) return 'less';
    throw error;
  }
};
