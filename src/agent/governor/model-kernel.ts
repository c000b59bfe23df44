/**
 * A small kernel for the governor's tests: machines that grow and give back, limits of their own and of the pool, cache, swap, memory of
 * the kernel's own that only an end gives back, and the kernel's reclaim and kills at the pool's limit, which respect no guarantee but what
 * is kept from swap, and kill first in what is offered. Time goes in steps, and what the governor asked for takes as long as compressing takes.
 */
import type { Action, GovernorState, MachineReading, Readings, Report } from './types.ts';
import { gaveLittle } from '../../host/cgroup/pool-memory.ts';
import type { Protection } from '../../host/cgroup/pool-memory.ts';
import { decide, freshState, freshWatch } from './decide.ts';
import type { Tuning } from './decide.ts';

const mib = 2 ** 20;
export const stepMs = 2;
const swapBytesPerMs = 300 * 1024;
const cacheBytesPerMs = 2 * mib;
/** Until what was killed has given its memory back. */
const deathMs = 12;
/** Of what the kernel takes at the pool's limit, what it takes from those that are only spared: files in memory (host/cgroup/pool-memory-v1.ts). */
const takenOfSpared = 0.2;
/** What a machine may lose until it borrows again: between coming down to its guarantee and the governor's next look, and while swap ends. */
const toleratedBytes = 16 * mib;

export interface ModelMachine {
  id: string;
  guaranteeBytes: number;
  ceilingBytes: number;
  limitBytes: number;
  ownBytes: number;
  cacheBytes: number;
  /** Of the kernel's own, for sockets and names of files: on no list, nothing takes it but the end of whose it is. */
  kernelBytes: number;
  swapBytes: number;
  protection: Protection;
  maySwap: boolean;
  isOffered: boolean;
  /** What it wants to have, and how fast it can get there. */
  wantsBytes: number;
  bytesPerMs: number;
  /** The part of its growth that is cache. */
  cacheShare: number;
  /** The part that is the kernel's own. */
  kernelShare: number;
  /** What each of its processes has, for the governor's kills; Infinity where it is one. */
  processBytes: number;
}

interface Running {
  action: Action & { do: 'reclaim' | 'kill' };
  /** Has been taken already where it was reclaimed; dies at the end where it is a kill. */
  freedBytes: number;
  /** What was left to take from it. */
  leftBytes: number;
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
  /** Of those that the governor had barred from swap when it died, and that took more than their guarantees before another had looked. */
  readonly killsOfBarred: string[] = [];
  readonly reports: Report[] = [];
  /** Every look, by kind: what the governor's work grows with. */
  readonly looks = { totals: 0, watched: 0, all: 0, machines: 0 };
  nowMs = 0;
  #isGoverned = true;
  /** Since it was started anew. */
  #hasLooked = true;
  readonly #poolBytes: number;
  #swapFreeBytes: number;
  readonly #tuning: Tuning;
  #state: GovernorState = freshState;
  #next: { look: Readings['look']; atMs: number } = { look: 'all', atMs: 0 };
  /** What those that grow can still compress in this step. */
  #swapNowBytes = 0;
  readonly #running = new Map<string, Running>();
  #outcomes: Readings['outcomes'][number][] = [];
  /** What was swapped of each within its guarantee, since it last borrowed. */
  readonly #lost = new Map<string, number>();

  constructor(options: { poolBytes: number; swapBytes: number; machines: ModelMachine[]; tuning: Tuning }) {
    this.#poolBytes = options.poolBytes;
    this.#swapFreeBytes = options.swapBytes;
    this.machines = options.machines;
    this.#tuning = options.tuning;
  }

  get usedBytes(): number {
    return this.machines.reduce((sum, one) => sum + usedBy(one), 0);
  }

  /** There is no governor, or it has not seen yet what it found. */
  get #isNobodys(): boolean {
    return !this.#isGoverned || !this.#hasLooked;
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
    this.#hasLooked = false;
  }

  run(ms: number, { isGoverned = true } = {}): void {
    this.#isGoverned = isGoverned;
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += stepMs) {
      this.#swapNowBytes = this.#tuning.cpus * swapBytesPerMs * stepMs;
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
    one.kernelBytes += bytes * one.kernelShare;
    one.ownBytes += bytes * (1 - one.cacheShare - one.kernelShare);
    if (usedBy(one) > one.guaranteeBytes) this.#lost.delete(one.id);
    this.#makeRoom(
      one,
      usedBy(one) - one.limitBytes,
      (over) => this.#reclaimNow(one, over, one.protection !== 'barred'),
      () => this.#kill(one),
    );
    this.#makeRoom(
      one,
      this.usedBytes - this.#poolBytes,
      (over) => this.#reclaimAnywhere(over),
      () => this.#killLargest(),
    );
  }

  /** Who grows waits while the kernel compresses; it kills when there is nothing to reclaim. */
  #makeRoom(one: ModelMachine, overBytes: number, reclaim: (bytes: number) => number, kill: () => void): void {
    if (overBytes <= 0) return;
    const left = overBytes - reclaim(overBytes);
    if (left < 1) return;
    if (this.#swapNowBytes >= 1) return kill();
    const own = Math.min(left, one.ownBytes);
    one.ownBytes -= own;
    one.kernelBytes -= left - own;
  }

  #shrink(one: ModelMachine, bytes: number): void {
    const swap = Math.min(bytes, one.swapBytes);
    this.#swapFreeBytes += swap;
    one.swapBytes -= swap;
    const own = Math.min(bytes - swap, one.ownBytes);
    one.ownBytes -= own;
    const cache = Math.min(bytes - swap - own, one.cacheBytes);
    one.cacheBytes -= cache;
    one.kernelBytes = Math.max(0, one.kernelBytes - (bytes - swap - own - cache));
  }

  /** By whoever grows, as far as it gets in this step. */
  #reclaimNow(one: ModelMachine, bytes: number, maySwap = true): number {
    const before = one.swapBytes;
    const freed = this.#reclaim(one, bytes, maySwap, this.#swapNowBytes);
    this.#swapNowBytes -= one.swapBytes - before;
    return freed;
  }

  #reclaim(one: ModelMachine, bytes: number, maySwap: boolean, mostSwapBytes = Infinity): number {
    const cache = Math.min(bytes, one.cacheBytes);
    one.cacheBytes -= cache;
    const own = maySwap && one.maySwap ? Math.min(bytes - cache, one.ownBytes, this.#swapFreeBytes, mostSwapBytes) : 0;
    one.ownBytes -= own;
    one.swapBytes += own;
    this.#swapFreeBytes -= own;
    return cache + own;
  }

  /** As the kernel at a limit above: cache of anybody, memory of those that are not kept from swap, and a little of those that are spared. */
  #reclaimAnywhere(bytes: number): number {
    let left = bytes;
    const bySize = this.machines.toSorted((a, b) => usedBy(b) - usedBy(a));
    const take = (one: ModelMachine, maySwap: boolean, mostBytes = left): void => {
      const isWithin = usedBy(one) <= one.guaranteeBytes;
      const before = one.swapBytes;
      left -= this.#reclaimNow(one, mostBytes, maySwap);
      if (this.#isGoverned && isWithin) this.#lose(one, one.swapBytes - before);
    };
    const spared = bySize.filter(({ protection }) => protection === 'spared');
    for (const one of spared) take(one, true, (bytes * takenOfSpared) / spared.length);
    for (const one of bySize) take(one, one.protection === 'none');
    // In despair also from those that are spared, rather than kill.
    for (const one of spared) take(one, true);
    return bytes - left;
  }

  #lose(one: ModelMachine, bytes: number): void {
    const lostBytes = (this.#lost.get(one.id) ?? 0) + bytes;
    this.#lost.set(one.id, lostBytes);
    if (bytes > 0 && lostBytes > toleratedBytes) this.violations.push({ atMs: this.nowMs, machine: one.id, what: 'swapped within its guarantee' });
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
    // With no governor to say when it has come down to its guarantee, one that was offered for what it borrowed still is, whatever of that has
    // been taken since, and one that has more than its guarantee together with what is in swap still borrows.
    const hadBytes = usedBy(largest!) + (this.#isNobodys ? largest!.swapBytes : 0);
    if (hadBytes <= largest!.guaranteeBytes && !(this.#isNobodys && largest!.isOffered))
      this.violations.push({ atMs: this.nowMs, machine: largest!.id, what: 'killed within its guarantee at the limit of the pool' });
    this.#die(largest!);
  }

  /** So many of its processes as have so much, and the others want no more for it; whom the kernel chooses is all that there is in the machine. */
  #die(one: ModelMachine, bytes = one.ownBytes): void {
    (this.#isNobodys && one.protection === 'barred' ? this.killsOfBarred : this.kills).push(one.id);
    if (bytes >= one.ownBytes) {
      this.#swapFreeBytes += one.swapBytes;
      return void Object.assign(one, { ownBytes: 0, cacheBytes: 0, kernelBytes: 0, swapBytes: 0, wantsBytes: 0 });
    }
    // What the kernel has for it goes with each process.
    const kernelBytes = one.kernelBytes * (bytes / one.ownBytes);
    one.kernelBytes -= kernelBytes;
    one.ownBytes -= bytes;
    one.wantsBytes = Math.max(0, one.wantsBytes - bytes - kernelBytes);
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
    this.#running.set(one.id, { action, freedBytes: Math.min(freedBytes, one.ownBytes), leftBytes: 0, untilMs: this.nowMs + deathMs });
  }

  #finish(): void {
    for (const [id, { action, freedBytes, leftBytes, untilMs }] of this.#running) {
      if (untilMs > this.nowMs) continue;
      this.#running.delete(id);
      if (action.do === 'reclaim') this.#outcomes.push({ machine: id, askedBytes: action.bytes, freedBytes, leftBytes });
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
    this.#hasLooked = true;
    this.looks[look] += 1;
    this.looks.machines += read.length;
    const readings: Readings = {
      look,
      pool: { limitBytes: this.#poolBytes, usedBytes: this.usedBytes, swapLeftBytes: Infinity },
      host: { availableBytes: Infinity, swapFreeBytes: this.#swapFreeBytes },
      machines: read.map((one): MachineReading => ({ ...one, usedBytes: usedBy(one), takeableBytes: this.#state.isTight ? one.cacheBytes + one.ownBytes : 0 })),
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
    if (action.do === 'protect') one.protection = action.protection;
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
    one.protection = 'none';
    const leftBytes = gaveLittle(action.bytes, freedBytes) && action.maySwap ? one.cacheBytes + one.ownBytes : Infinity;
    this.#running.set(one.id, { action, freedBytes, leftBytes, untilMs: this.nowMs + cache / cacheBytesPerMs + (freedBytes - cache) / swapBytesPerMs });
  }
}

export const usedBy = (one: Pick<ModelMachine, 'ownBytes' | 'cacheBytes' | 'kernelBytes'>): number => one.ownBytes + one.cacheBytes + one.kernelBytes;
