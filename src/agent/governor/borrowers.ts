/** What is done to borrowers while the pool is tight: held, taken back from, and at last killed inside. */
import { numbersOf, swapLeftOf } from './report.ts';
import type { Room } from './report.ts';
import { swapEndsBelow, swapIsBackAbove } from './reserve.ts';
import type { Action, GovernorState, MachineReading, Numbers, Readings, Report, Watch } from './types.ts';
import { fairTargets } from './waterfill.ts';

const mib = 2 ** 20;
/** One write that reclaims holds a thread for as long as it takes: some 50 ms of compressing. */
const largestStep = 16 * mib;
const leastStep = 256 * 1024;
/** Limits are not written for less than this. */
const limitStep = mib;
/**
 * With swap left, an attempt that gave little is no proof: a host short of memory itself swaps slowly. What gives nothing for so long cannot
 * be swapped at all. There is no such wait where what could be taken is less than what is missing: sockets' buffers and names of files in
 * memory are the kernel's own, no reclaim takes them, and while the pool stands at its limit for them the kernel swaps what neighbours have.
 */
const dryWithSwapMs = 3000;
/** A need is over when nothing was taken for so long; and is told of now and then while it lasts. */
const needEndsMs = 500;
const tellEveryMs = 5000;
const heldToldAfterMs = 1000;
/** What cannot be read cheaply is written again after so long. */
export const assertEveryMs = 5000;

/** From when it borrows something worth a kill until it is back within its guarantee. */
export const isWorthOffering = ({ usedBytes, guaranteeBytes }: MachineReading, isOffered: boolean): boolean =>
  usedBytes > guaranteeBytes + (isOffered ? 0 : mib + guaranteeBytes / 16);

/** From whom less is borrowed nothing is taken. */
const isWorthTaking = (one: MachineReading): boolean => above(one) >= leastStep;

/** What reclaim can take back of what it borrows. */
export const givesBytes = (one: MachineReading): number => (isWorthTaking(one) ? Math.min(above(one), one.takeableBytes) : 0);

interface Victim {
  one: MachineReading;
  bytes: number;
}

const above = ({ usedBytes, guaranteeBytes }: MachineReading): number => usedBytes - guaranteeBytes;

/** From the first as much as it has, then the next, until there is as much as is missing. */
const share = (victims: readonly Victim[], missingBytes: number): Victim[] => {
  let leftBytes = missingBytes;
  return victims.flatMap(({ one, bytes }) => {
    const part = Math.min(bytes, leftBytes);
    leftBytes -= part;
    return part > 0 ? [{ one, bytes: part }] : [];
  });
};

/** One decision's work on those that are watched. */
export class BorrowerRound {
  readonly watched: Map<string, Watch>;
  readonly actions: Action[] = [];
  readonly reports: Report[] = [];
  readonly #state: GovernorState;
  readonly #readings: Readings;
  readonly #room: Room;
  readonly #nowMs: number;
  readonly #swapLeftBytes: number;

  constructor(state: GovernorState, readings: Readings, room: Room, nowMs: number) {
    this.watched = new Map(state.watched);
    this.#state = state;
    this.#readings = readings;
    this.#room = room;
    this.#nowMs = nowMs;
    this.#swapLeftBytes = swapLeftOf(readings);
  }

  act(): this {
    const { busy } = this.#readings;
    const known = this.#readings.machines.filter((one) => this.watched.has(one.id));
    for (const one of known) this.#assert(one);
    for (const one of known) this.#offer(one);
    const borrowers = known.filter((one) => one.usedBytes > one.guaranteeBytes);
    const spareBytes = this.#room.headroomBytes - this.#room.reserveBytes;
    // What it has of its guarantee is its own: no hold, whatever the neighbours do.
    for (const one of known) if (one.usedBytes <= one.guaranteeBytes) this.#limit(one, one.ceilingBytes);
    if (spareBytes >= 0) for (const one of borrowers) this.#limit(one, one.usedBytes + spareBytes / borrowers.length);
    else this.#takeBack(borrowers, -spareBytes - [...busy.values()].reduce((sum, bytes) => sum + bytes, 0));
    for (const one of known) this.#protect(one);
    for (const one of known) this.#holdSwap(one);
    for (const one of known) this.#report(one, spareBytes);
    return this;
  }

  #assert(one: MachineReading): void {
    const watch = this.watched.get(one.id)!;
    const isDue = (watch.isOffered || watch.isSwapHeld) && this.#nowMs - watch.assertedAtMs > assertEveryMs;
    if (!isDue || this.#readings.busy.has(one.id)) return;
    if (watch.isOffered) this.actions.push({ do: 'offer', machine: one.id, isOffered: true });
    if (watch.isSwapHeld) this.actions.push({ do: 'swap', machine: one.id, isAllowed: false, ceilingBytes: one.ceilingBytes });
    this.watched.set(one.id, { ...watch, assertedAtMs: this.#nowMs });
  }

  /** What came down to its guarantee is kept from swap like anybody within it; what grows beyond is the kernel's to swap again. */
  #protect(one: MachineReading): void {
    const watch = this.watched.get(one.id)!;
    const protection = one.usedBytes < one.guaranteeBytes + leastStep ? 'spared' : 'none';
    if (watch.protection === protection || this.#readings.busy.has(one.id)) return;
    this.actions.push({ do: 'protect', machine: one.id, protection });
    this.watched.set(one.id, { ...watch, protection });
  }

  /** Where there is no swap left, what a borrower wants more of is its own to lose, and not what a neighbour will claim. */
  #holdSwap(one: MachineReading): void {
    const watch = this.watched.get(one.id)!;
    const isHeld = one.usedBytes > one.guaranteeBytes && !this.#hasSwap(watch);
    if (watch.isSwapHeld === isHeld || this.#readings.busy.has(one.id)) return;
    this.actions.push({ do: 'swap', machine: one.id, isAllowed: !isHeld, ceilingBytes: one.ceilingBytes });
    // How it is held depends on it.
    this.actions.push({ do: 'limit', machine: one.id, bytes: one.limitBytes, maySwap: !isHeld });
    this.watched.set(one.id, { ...watch, isSwapHeld: isHeld, assertedAtMs: this.#nowMs });
  }

  #hasSwap({ isSwapHeld }: Watch): boolean {
    return this.#swapLeftBytes >= (isSwapHeld ? swapIsBackAbove : swapEndsBelow)(this.#readings.pool.limitBytes);
  }

  #offer(one: MachineReading): void {
    const watch = this.watched.get(one.id)!;
    const isOffered = isWorthOffering(one, watch.isOffered);
    if (watch.isOffered === isOffered) return;
    this.actions.push({ do: 'offer', machine: one.id, isOffered });
    this.watched.set(one.id, { ...watch, isOffered, assertedAtMs: this.#nowMs });
  }

  /** Nothing that could be taken: neither cache nor what swap has room for. */
  #isDry(one: MachineReading): boolean {
    return this.watched.get(one.id)!.dryUntilMs > this.#nowMs;
  }

  /**
   * What claims have taken of the reserve. A host that runs short for reasons of its own while it has swap is no reason to kill: the kernel
   * finds room there in what is not ours, too.
   */
  #takenOfReserve(borrowers: readonly MachineReading[]): number {
    const { pool } = this.#readings;
    const hasSwap = borrowers.some((one) => this.#hasSwap(this.watched.get(one.id)!));
    return this.#room.reserveBytes - (hasSwap ? pool.limitBytes - pool.usedBytes : this.#room.headroomBytes);
  }

  /**
   * Once half of the reserve is gone: in whom to kill for how much. Nothing came of the last attempts, and nothing will in time. From who
   * borrows less than a step nothing is taken, and nothing waited for.
   */
  #mustGo(borrowers: readonly MachineReading[], demandBytes: number): readonly Victim[] {
    const takenBytes = this.#takenOfReserve(borrowers);
    if (takenBytes <= this.#room.reserveBytes / 2) return [];
    const asked = borrowers.filter(isWorthTaking);
    if (!asked.every((one) => this.#isDry(one))) return [];
    const offered = asked.filter(({ id }) => this.watched.get(id)!.isOffered);
    if (asked.every(({ id }) => this.#isDryForGood(this.watched.get(id)!))) {
      const byWorst = offered.toSorted((a, b) => b.usedBytes / b.guaranteeBytes - a.usedBytes / a.guaranteeBytes);
      const all = byWorst.map((one) => ({ one, bytes: above(one) }));
      return share(all, demandBytes);
    }
    // What is on no list that reclaim could take from, and only so much of it as all the rest does not make good.
    const takeable = (one: MachineReading): number => Math.min(this.watched.get(one.id)!.leftBytes, above(one));
    const stuck = offered.map((one) => ({ one, bytes: above(one) - takeable(one) })).toSorted((a, b) => b.bytes - a.bytes);
    return share(stuck, takenBytes - asked.reduce((sum, one) => sum + takeable(one), 0));
  }

  #isDryForGood(watch: Watch): boolean {
    return !this.#hasSwap(watch) || this.#nowMs - watch.drySinceMs! >= dryWithSwapMs;
  }

  #limit(one: MachineReading, bytes: number): void {
    if (this.#readings.busy.has(one.id)) return;
    const wanted = Math.min(bytes, one.ceilingBytes);
    const isRelease = wanted === one.ceilingBytes && one.limitBytes < wanted;
    if (isRelease || Math.abs(wanted - one.limitBytes) >= limitStep)
      this.actions.push({ do: 'limit', machine: one.id, bytes: wanted, maySwap: this.#hasSwap(this.watched.get(one.id)!) });
  }

  #takeBack(borrowers: readonly MachineReading[], demandBytes: number): void {
    const { busy } = this.#readings;
    const yielding = borrowers.filter((one) => !this.#isDry(one));
    const targets = fairTargets(yielding, Math.max(0, demandBytes));
    for (const one of borrowers) {
      const take = one.usedBytes - (targets.get(one.id) ?? one.usedBytes);
      // Nobody's part of a small demand is so small that it is not asked for.
      if (take > 0 && isWorthTaking(one) && !busy.has(one.id)) this.#reclaim(one, Math.max(take, leastStep));
      else this.#limit(one, one.usedBytes + limitStep);
    }
    // As much as is missing at once, and nothing more before that has come back.
    if (busy.size === 0) for (const victim of this.#mustGo(borrowers, demandBytes)) this.#kill(victim);
  }

  #reclaim(one: MachineReading, bytes: number): void {
    const watch = this.watched.get(one.id)!;
    const maySwap = this.#hasSwap(watch);
    this.actions.push({ do: 'reclaim', machine: one.id, bytes: Math.min(bytes, largestStep), maySwap, floorBytes: one.guaranteeBytes });
    this.watched.set(one.id, { ...watch, needSinceMs: watch.needSinceMs ?? this.#nowMs });
  }

  #kill({ one, bytes }: Victim): void {
    this.actions.push({ do: 'kill', machine: one.id, bytes, floorBytes: one.guaranteeBytes, numbers: this.#numbers(one) });
  }

  #report(one: MachineReading, spareBytes: number): void {
    const watch = this.watched.get(one.id)!;
    if (watch.needSinceMs === null) return;
    const lastedMs = this.#nowMs - watch.needSinceMs;
    if (lastedMs > heldToldAfterMs && spareBytes < 0 && !watch.isToldHeld) {
      this.reports.push({ type: 'held', machine: one.id, numbers: this.#numbers(one) });
      this.watched.set(one.id, { ...watch, isToldHeld: true });
      return;
    }
    const isOver = spareBytes >= 0 && this.#nowMs - watch.lastTakenMs > needEndsMs;
    if (!isOver && lastedMs < tellEveryMs) return;
    if (watch.reclaimedBytes > 0) this.reports.push({ type: 'reclaimed', machine: one.id, numbers: this.#numbers(one), milliseconds: Math.round(lastedMs) });
    this.watched.set(one.id, { ...watch, needSinceMs: isOver ? null : this.#nowMs, reclaimedBytes: 0, isToldHeld: watch.isToldHeld && !isOver });
  }

  #numbers(one: MachineReading): Numbers {
    return numbersOf(one, this.watched.get(one.id)!, this.#state, this.#readings, this.#room);
  }
}
