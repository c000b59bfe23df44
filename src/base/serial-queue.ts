/** Tasks one after another, in order; a queue that is full refuses. What one task throws is its own caller's. */
import { CenoteError } from './errors.ts';

export class SerialQueue {
  readonly #limit: number;
  #last: Promise<unknown> = Promise.resolve();
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  /** `mostWaiting`: beyond them it is refused. Infinity is for what happens of itself, which nobody would ask for again. */
  run<T>(task: () => Promise<T>, mostWaiting = this.#limit): Promise<T> {
    if (this.#length >= mostWaiting) return Promise.reject(new CenoteError('too_busy', `${this.#length} actions are waiting already`));
    this.#length += 1;
    const result = this.#last.then(task).finally(() => {
      this.#length -= 1;
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
