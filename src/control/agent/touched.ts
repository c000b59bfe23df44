/**
 * Keeps an answer of the agent that is older than a job's outcome from being written over it: whoever asks the agent watches meanwhile, and
 * leaves alone every machine that a job has changed since.
 */
export interface TouchWatch extends Disposable {
  readonly ids: ReadonlySet<string>;
}

export class Touched {
  readonly #watches = new Set<Set<string>>();

  touch(id: string): void {
    for (const watch of this.#watches) watch.add(id);
  }

  watch(): TouchWatch {
    const ids = new Set<string>();
    this.#watches.add(ids);
    return { ids, [Symbol.dispose]: () => this.#watches.delete(ids) };
  }
}
