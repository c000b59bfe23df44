/**
 * What jobs know of machines, for who compares the store with the host. Two things follow from it: an answer of the agent that is older than a
 * job's outcome is not written over it (`watch`), and what a job's own answer has told need not be asked for once more (`isTold`).
 */
export interface TouchWatch extends Disposable {
  readonly ids: ReadonlySet<string>;
}

export class Touched {
  readonly #watches = new Set<Set<string>>();
  readonly #underWay = new Set<string>();
  readonly #told = new Map<string, number>();

  /** The machine's row is about to be changed, or was, by a job. */
  touch(id: string): void {
    for (const watch of this.#watches) watch.add(id);
  }

  watch(): TouchWatch {
    const ids = new Set<string>();
    this.#watches.add(ids);
    return { ids, [Symbol.dispose]: () => this.#watches.delete(ids) };
  }

  /** A job of the machine is with the agent; a machine has one at a time. */
  begin(id: string): void {
    this.#underWay.add(id);
  }

  /** The store has what the job came to; `sequence` is that of the status it came with, if it did. */
  end(id: string, sequence?: number): void {
    this.#underWay.delete(id);
    if (sequence !== undefined) this.#told.set(id, sequence);
  }

  isUnderWay(id: string): boolean {
    return this.#underWay.has(id);
  }

  /** Whether the store has what the agent's event says of the machine. */
  isTold(id: string, sequence: number): boolean {
    return (this.#told.get(id) ?? -1) >= sequence;
  }

  /** Events up to this one have been dealt with. Costs what was told since the last time. */
  forget(sequence: number): void {
    for (const [id, told] of this.#told) if (told <= sequence) this.#told.delete(id);
  }
}
