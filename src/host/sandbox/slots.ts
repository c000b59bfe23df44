/**
 * Slots: which uid ranges are free. A slot's number is its place in the host-wide uid space that instances share, so that it is the
 * same number in the link's name, the log and the ranges. The longest free comes first, to keep a range out of use as long as possible.
 */
import { CenoteError } from '../../base/errors.ts';

export const uidSpaceStart = 0x2000_0000;
export const uidRangeSize = 65_536;
/** Ranges in a block, the unit in which instances are given uid space. */
export const rangesPerBlock = 1024;

export const uidBaseOf = (slot: number): number => uidSpaceStart + slot * uidRangeSize;

/** In whose range a user is; null for one of the host's own. */
export const slotOf = (uid: number): number | null => (uid < uidSpaceStart ? null : Math.floor((uid - uidSpaceStart) / uidRangeSize));

export class Slots {
  /** A queue with a moving head; compacted as it drains. */
  #free: number[] = [];
  #head = 0;
  readonly #taken = new Set<number>();

  /** `blocks`: first uid of each block this instance was given. */
  constructor(blocks: readonly number[]) {
    for (const block of blocks) this.addBlock(block);
  }

  addBlock(firstUid: number): void {
    const first = (firstUid - uidSpaceStart) / uidRangeSize;
    if (!Number.isInteger(first) || first < 0) throw new CenoteError('internal', `${firstUid} does not start a block of uid ranges`);
    for (let index = 0; index < rangesPerBlock; index++) this.#free.push(first + index);
  }

  take(): number {
    const slot = this.#free[this.#head];
    if (slot === undefined) {
      throw new CenoteError('not_enough', `all ${this.#taken.size} uid ranges of this instance are in use`, { advice: 'delete or stop machines' });
    }
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#free.length) {
      this.#free = this.#free.slice(this.#head);
      this.#head = 0;
    }
    this.#taken.add(slot);
    return slot;
  }

  release(slot: number): void {
    if (this.#taken.delete(slot)) this.#free.push(slot);
  }

  /** Takes these, wherever they stand in the queue. */
  reserve(slots: readonly number[]): void {
    for (const slot of slots) this.#taken.add(slot);
    this.#free = this.#free.slice(this.#head).filter((slot) => !this.#taken.has(slot));
    this.#head = 0;
  }

  get freeCount(): number {
    return this.#free.length - this.#head;
  }
}
