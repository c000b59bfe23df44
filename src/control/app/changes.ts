/** Tells within this process that a machine's row may be another than it was; who listens looks for itself what has changed. */

/** Null: any may have changed. */
export type ChangeListener = (machine: string | null) => void;

export class Changes {
  readonly #listeners = new Set<ChangeListener>();

  listen(listener: ChangeListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** After the transaction. */
  tell(machine: string | null): void {
    for (const listener of this.#listeners) listener(machine);
  }
}
