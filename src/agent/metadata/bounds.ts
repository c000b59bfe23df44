/**
 * What comes from inside a machine is not to be trusted: how much of the agent one machine, and all of them, may have at a time. A machine has an
 * allowance that fills as time passes; what it spends beyond that it waits for, by itself.
 */

/** The longest line: a key and a value, encoded twice. */
export const longestLine = 512 * 1024;
/** Of unfinished lines, of all machines. */
const mostHeld = 32 * 1024 * 1024;
export const connectionsPerMachine = 4;
/** A connection that says nothing, or does not read its answer. */
export const idleMs = 60_000;

const perSecond = 100;
const most = 400;
/** A write is on two disks before it is answered; what comes in many small pieces costs more than what comes at once. */
export const cost = { piece: 0.25, read: 1, write: 20 } as const;

export class Allowance {
  #left = most;
  #at = performance.now();

  /** Takes it; how long to wait before the work is done. */
  spend(amount: number): number {
    this.#fill();
    this.#left -= amount;
    return this.#left >= 0 ? 0 : (-this.#left / perSecond) * 1000;
  }

  /** As good as new: nothing need be remembered. */
  get isFull(): boolean {
    this.#fill();
    return this.#left >= most;
  }

  #fill(): void {
    const now = performance.now();
    this.#left = Math.min(most, this.#left + ((now - this.#at) / 1000) * perSecond);
    this.#at = now;
  }
}

/** Bytes of lines that have not ended yet. */
export class Held {
  #bytes = 0;

  /** False: there is no room for them. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > mostHeld) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}
