/**
 * A small kernel for the governor's tests: machines that grow and give back, limits of their own and of the pool, cache, swap, and the
 * kernel's own reclaim and kills at the pool's limit, which respect no guarantee but what is kept from swap, and kill first in what is
 * offered. Time goes in steps, and what the governor asked for takes as long as compressing takes.
 */
import type { Action, GovernorState, MachineReading, Readings, Report } from './types.ts';
import { decide, freshState, freshWatch } from './decide.ts';
import type { Tuning } from './decide.ts';

const mib = 2 ** 20;
export const stepMs = 2;
const swapBytesPerMs = 300 * 1024;
const cacheBytesPerMs = 2 * mib;
/** Until what was killed has given its memory back. */
const deathMs = 12;
/** What a machine may lose between coming down to its guarantee and the governor's next look at it. */
const toleratedBytes = 8 * mib;

export interface ModelMachine {
  id: string;
  guaranteeBytes: number;
  ceilingBytes: number;
  limitBytes: number;
  ownBytes: number;
  cacheBytes: number;
  swapBytes: number;
  isProtected: boolean;
  maySwap: boolean;
  isOffered: boolean;
  /** What it wants to have, and how fast it can get there. */
  wantsBytes: number;
  bytesPerMs: number;
  /** The part of its growth that is cache. */
  cacheShare: number;
  /** What each of its processes has, for the governor's kills; Infinity where it is one. */
  processBytes: number;
}

interface Running {
  action: Action & { do: 'reclaim' | 'kill' };
  /** Has been taken already where it was reclaimed; dies at the end where it is a kill. */
  freedBytes: number;
  untilMs: number;
}

export interface Violation {
  atMs: number;
  machine: string;
  what: string;
}

export class ModelKernel {
  readonly machines: ModelMachine[];
  readonly violations: Violation[] = [];
  readonly kills: string[] = [];
  readonly reports: Report[] = [];
  /** Every look, by kind: what the governor's work grows with. */
  readonly looks = { totals: 0, watched: 0, all: 0, machines: 0 };
  nowMs = 0;
  #isGoverned = true;
  readonly #poolBytes: number;
  #swapFreeBytes: number;
  readonly #tuning: Tuning;
  #state: GovernorState = freshState;
  #next: { look: Readings['look']; atMs: number } = { look: 'all', atMs: 0 };
  readonly #running = new Map<string, Running>();
  #outcomes: Readings['outcomes'][number][] = [];

  constructor(options: { poolBytes: number; swapBytes: number; machines: ModelMachine[]; tuning: Tuning }) {
    this.#poolBytes = options.poolBytes;
    this.#swapFreeBytes = options.swapBytes;
    this.machines = options.machines;
    this.#tuning = options.tuning;
  }

  get usedBytes(): number {
    return this.machines.reduce((sum, one) => sum + usedBy(one), 0);
  }

  get state(): GovernorState {
    return this.#state;
  }

  /** The governor dies and comes back: it knows only what it finds in the kernel, which is as it was. */
  restartGovernor(): void {
    const left = this.machines.filter(({ isOffered, maySwap }) => isOffered || !maySwap);
    const watched = new Map(left.map(({ id, isOffered, maySwap }) => [id, { ...freshWatch, isOffered, isSwapHeld: !maySwap }]));
    this.#state = { ...freshState, watched };
    this.#next = { look: 'all', atMs: this.nowMs };
    this.#running.clear();
    this.#outcomes = [];
  }

  run(ms: number, { isGoverned = true } = {}): void {
    this.#isGoverned = isGoverned;
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += stepMs) {
      for (const one of this.machines) this.#grow(one);
      if (!isGoverned) continue;
      this.#finish();
      // As often as looks follow at once; bounded, since each of them should settle something.
      for (let round = 0; round < 4 && this.nowMs >= this.#next.atMs; round += 1) this.#govern();
    }
  }

  #grow(one: ModelMachine): void {
    const total = usedBy(one) + one.swapBytes;
    if (one.wantsBytes < total) return this.#shrink(one, total - one.wantsBytes);
    const bytes = Math.min(one.wantsBytes - total, one.bytesPerMs * stepMs);
    if (bytes <= 0) return;
    one.cacheBytes += bytes * one.cacheShare;
    one.ownBytes += bytes * (1 - one.cacheShare);
    const over = usedBy(one) - one.limitBytes;
    if (over > 0 && this.#reclaim(one, over) < over - 1) return this.#kill(one);
    const poolOver = this.usedBytes - this.#poolBytes;
    if (poolOver > 0 && this.#reclaimAnywhere(poolOver) < poolOver - 1) this.#killLargest();
  }

  #shrink(one: ModelMachine, bytes: number): void {
    const swap = Math.min(bytes, one.swapBytes);
    this.#swapFreeBytes += swap;
    one.swapBytes -= swap;
    const own = Math.min(bytes - swap, one.ownBytes);
    one.ownBytes -= own;
    one.cacheBytes = Math.max(0, one.cacheBytes - (bytes - swap - own));
  }

  #reclaim(one: ModelMachine, bytes: number, maySwap = true): number {
    const cache = Math.min(bytes, one.cacheBytes);
    one.cacheBytes -= cache;
    const own = maySwap && one.maySwap ? Math.min(bytes - cache, one.ownBytes, this.#swapFreeBytes) : 0;
    one.ownBytes -= own;
    one.swapBytes += own;
    this.#swapFreeBytes -= own;
    return cache + own;
  }

  /** As the kernel at a limit above: cache of anybody, memory of those that are not kept from swap. */
  #reclaimAnywhere(bytes: number): number {
    let left = bytes;
    const bySize = this.machines.toSorted((a, b) => usedBy(b) - usedBy(a));
    for (const one of bySize) {
      if (left <= 0) break;
      const isWithin = usedBy(one) <= one.guaranteeBytes;
      const before = one.swapBytes;
      left -= this.#reclaim(one, left, !one.isProtected);
      if (this.#isGoverned && isWithin && one.swapBytes > before + toleratedBytes)
        this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'swapped within its guarantee' });
    }
    // In despair also from those that are spared, rather than kill.
    for (const one of bySize) left -= this.#reclaim(one, left);
    return bytes - left;
  }

  #kill(one: ModelMachine): void {
    if (one.limitBytes < Math.min(one.guaranteeBytes, one.ceilingBytes))
      this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'killed below its guarantee' });
    this.#die(one);
  }

  #killLargest(): void {
    // What is in swap counts, as it does in the kernel's choice; and the score that each has (host/cgroup/oom-score.ts), here of one process.
    const score = (one: ModelMachine) => (one.isOffered ? this.#poolBytes : 0.9 * this.#poolBytes - one.guaranteeBytes);
    const points = (one: ModelMachine) => one.ownBytes + one.swapBytes + score(one);
    const [largest] = this.machines.filter((one) => one.ownBytes + one.swapBytes > 0).toSorted((a, b) => points(b) - points(a));
    // With no governor to say when it has come down to its guarantee, one that has more than that together with what is in swap still borrows.
    const hadBytes = usedBy(largest!) + (this.#isGoverned ? 0 : largest!.swapBytes);
    if (hadBytes <= largest!.guaranteeBytes)
      this.violations.push({ atMs: this.nowMs, machine: largest!.id, what: 'killed within its guarantee at the limit of the pool' });
    this.#die(largest!);
  }

  /** So many of its processes as have so much, and the others want no more for it; whom the kernel chooses is all that there is in the machine. */
  #die(one: ModelMachine, bytes = one.ownBytes): void {
    this.kills.push(one.id);
    if (bytes >= one.ownBytes) {
      this.#swapFreeBytes += one.swapBytes;
      Object.assign(one, { ownBytes: 0, cacheBytes: 0, swapBytes: 0, wantsBytes: 0 });
    } else Object.assign(one, { ownBytes: one.ownBytes - bytes, wantsBytes: Math.max(0, one.wantsBytes - bytes) });
  }

  /** As many of its processes as are asked for, as long as it is above its guarantee. */
  #killIn(one: ModelMachine, action: Action & { do: 'kill' }): void {
    const { bytes, floorBytes, numbers } = action;
    if (usedBy(one) <= one.guaranteeBytes) this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'the governor killed within its guarantee' });
    if (bytes > Math.min(numbers.reserveBytes - numbers.headroomBytes, usedBy(one) - one.guaranteeBytes) + 1)
      this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'more was to be killed than is missing' });
    if (this.#running.size > 0 && [...this.#running.values()].some((other) => other.untilMs !== this.nowMs + deathMs))
      this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'killed while more was coming back' });
    let freedBytes = 0;
    while (freedBytes < Math.min(bytes, one.ownBytes) && usedBy(one) - freedBytes > floorBytes) freedBytes += Math.min(one.processBytes, one.ownBytes);
    this.#running.set(one.id, { action, freedBytes: Math.min(freedBytes, one.ownBytes), untilMs: this.nowMs + deathMs });
  }

  #finish(): void {
    for (const [id, { action, freedBytes, untilMs }] of this.#running) {
      if (untilMs > this.nowMs) continue;
      this.#running.delete(id);
      if (action.do === 'reclaim') this.#outcomes.push({ machine: id, askedBytes: action.bytes, freedBytes });
      else
        this.#die(
          this.machines.find((one) => one.id === id)!,
          freedBytes,
        );
      this.#next.atMs = this.nowMs;
    }
  }

  #govern(): void {
    const { look } = this.#next;
    const read = this.machines.filter(({ id }) => look === 'all' || (look === 'watched' && this.#state.watched.has(id)));
    this.looks[look] += 1;
    this.looks.machines += read.length;
    const readings: Readings = {
      look,
      pool: { limitBytes: this.#poolBytes, usedBytes: this.usedBytes, swapLeftBytes: Infinity },
      host: { availableBytes: Infinity, swapFreeBytes: this.#swapFreeBytes },
      machines: read.map((one): MachineReading => ({ ...one, usedBytes: usedBy(one) })),
      busy: new Map([...this.#running].map(([id, { action }]) => [id, action.bytes])),
      outcomes: this.#outcomes,
      lookCostMs: 0.01 * this.machines.length,
    };
    this.#outcomes = [];
    const { state, actions, reports, next } = decide(this.#state, readings, this.nowMs, this.#tuning);
    this.#state = state;
    this.reports.push(...reports);
    this.#next = { look: next.look, atMs: this.nowMs + next.afterMs };
    for (const action of actions) this.#obey(action);
  }

  #obey(action: Action): void {
    const one = this.machines.find(({ id }) => id === action.machine)!;
    if (action.do === 'protect') one.isProtected = action.isProtected;
    if (action.do === 'swap') one.maySwap = action.isAllowed;
    if (action.do === 'offer') one.isOffered = action.isOffered;
    if (action.do === 'limit') one.limitBytes = Math.max(action.bytes, usedBy(one));
    if (action.do === 'kill') this.#killIn(one, action);
    if (action.do !== 'reclaim') return;
    const isAllowed = usedBy(one) - action.bytes >= one.guaranteeBytes - 1;
    if (!isAllowed) this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'taken from below its guarantee' });
    const cache = Math.min(one.cacheBytes, action.bytes);
    const freedBytes = this.#reclaim(one, action.bytes, action.maySwap);
    one.limitBytes = Math.max(action.floorBytes, usedBy(one));
    one.isProtected = false;
    this.#running.set(one.id, { action, freedBytes, untilMs: this.nowMs + cache / cacheBytesPerMs + (freedBytes - cache) / swapBytesPerMs });
  }
}

export const usedBy = (one: Pick<ModelMachine, 'ownBytes' | 'cacheBytes'>): number => one.ownBytes + one.cacheBytes;
