/**
 * Memory of the pool on cgroup v2. `memory.min` keeps the kernel's reclaim away from what is guaranteed; but when nothing can be reclaimed
 * at the pool's limit, the kernel kills anywhere below it. So what is borrowed is held here too: by `memory.high` while there is swap, and
 * by `memory.max` where there is none.
 *
 * At `memory.max` the kernel kills when a few attempts free nothing. While there is swap that is no proof of anything: zram on a host that has
 * run short needs memory itself, and a borrower was killed so beside 700 MiB of swap. At `memory.high` it waits, for as long as it takes;
 * without swap it would wait for ever. A write of `memory.max` never goes below what is used, for that would kill.
 *
 * `memory.reclaim` alone takes nothing from a machine that wants it all back at once: what it frees is swapped in again while it frees more.
 * So memory of the machine's own is taken by `memory.high`, which holds while the kernel reclaims.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errno.ts';
import { ifPresent, readNumber, readPids, readTable } from './files.ts';
import { isOffered, offerAll, oomScoreWithin } from './oom-score.ts';
import { gaveLittle } from './pool-memory.ts';
import type { Hold, KilledProcess, KillRequest, Leftover, MachineMemory, PoolMemory, PoolTotals, Reclaimed, ReclaimRequest } from './pool-memory.ts';
import { nothingThere, reclaimable } from './reclaimable.ts';
import { killLargest } from './victim.ts';

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
    return ifPresent(() => ({ usedBytes: readNumber(group, 'memory.current'), limitBytes: heldV2(group) }));
  }

  takeable(machine: string): number {
    return reclaimable(this.#group(machine), '') ?? 0;
  }

  peak(machine: string): number | null {
    return ifPresent(() => readNumber(this.#group(machine), 'memory.peak'));
  }

  kills(machine: string): number {
    return ifPresent(() => readTable(this.#group(machine), 'memory.events')['oom_kill'] ?? 0) ?? 0;
  }

  async limit(machine: string, { bytes, ceilingBytes, maySwap }: Hold): Promise<void> {
    const group = this.#group(machine);
    const used = ifPresent(() => readNumber(group, 'memory.current'));
    if (used === null) return;
    const held = Math.max(bytes, used + marginBytes);
    // A ceiling may be below that for a while: the pool is made smaller, or an agent was killed while it made the machine larger.
    const isFree = held >= ceilingBytes && used <= ceilingBytes;
    // The new hold stands before the other is lifted.
    const byHigh = () => put(group, 'memory.high', isFree || !maySwap ? 'max' : held);
    const byMax = () => put(group, 'memory.max', isFree ? ceilingBytes : maySwap ? Math.max(ceilingBytes, held) : held);
    for (const write of maySwap ? [byHigh, byMax] : [byMax, byHigh]) await write();
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

  async reclaim(machine: string, { bytes, ceilingBytes, maySwap, floorBytes }: ReclaimRequest): Promise<Reclaimed> {
    const group = this.#group(machine);
    const used = () => ifPresent(() => readNumber(group, 'memory.current')) ?? 0;
    const before = used();
    if (before === 0) return nothingThere;
    const hold = { bytes: floorBytes, ceilingBytes, maySwap };
    await this.limit(machine, hold);
    if (this.#takesSwappiness) this.#takesSwappiness = (await put(group, 'memory.reclaim', `${bytes} swappiness=0`)) !== 'EINVAL';
    const left = Math.ceil(bytes - Math.max(0, before - used()));
    // One at work takes back at once what is freed, so it is held for this step; the kernel takes cache first by itself.
    if (left > 0 && maySwap) await put(group, 'memory.high', Math.max(floorBytes, before - bytes));
    // A kernel that cannot be asked for cache alone swaps none where that is held.
    else if (left > 0 && !this.#takesSwappiness) await put(group, 'memory.reclaim', left);
    await this.limit(machine, hold);
    const freedBytes = Math.max(0, before - used());
    return { freedBytes, leftBytes: maySwap && gaveLittle(bytes, freedBytes) ? (reclaimable(group, '') ?? Infinity) : Infinity };
  }

  kill(machine: string, request: KillRequest): Promise<KilledProcess[]> {
    const group = this.#group(machine);
    const usedBytes = () => ifPresent(() => readNumber(group, 'memory.current')) ?? 0;
    const kernelBytes = () => ifPresent(() => kernelBytesOf(readTable(group, 'memory.stat'))) ?? 0;
    return killLargest({ pids: () => this.#pids(machine), usedBytes, kernelBytes, limitBytes: this.totals().limitBytes }, request);
  }

  #pids(machine: string): number[] {
    return ifPresent(() => readPids(this.#group(machine))) ?? [];
  }

  #group(machine: string): string {
    return join(this.#parent, machine);
  }
}

/** Sockets are counted apart; and what zswap holds is the processes' own, by their swap. */
const kernelBytesOf = ({ kernel = 0, zswap = 0, sock = 0 }: Record<string, number>): number => Math.max(0, kernel - zswap) + sock;

/** What holds now, by whichever of the two. */
export const heldV2 = (group: string): number => Math.min(readNumber(group, 'memory.max'), readNumber(group, 'memory.high'));

/** On the thread pool, since the kernel answers when it has reclaimed. EAGAIN is less than asked, which the caller measures. */
export const put = async (group: string, file: string, value: string | number): Promise<'done' | 'EINVAL' | 'less'> => {
  try {
    await writeFile(join(group, file), String(value));
    return 'done';
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return 'EINVAL';
    if (isErrno(error, 'EAGAIN', 'EBUSY', 'EINTR', 'ENOENT', 'ENODEV')) return 'less';
    throw error;
  }
};
