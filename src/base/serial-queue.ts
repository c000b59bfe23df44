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

  run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#length >= this.#limit) throw new CenoteError('too_busy', `${this.#length} actions are waiting already`);
    this.#length += 1;
    const result = this.#last.then(task).finally(() => {
      this.#length -= 1;
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
