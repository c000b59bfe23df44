/**
 * Bodies on their way to the host, by the name that their job has of them: a stream is there once, and only for the process that took it in.
 * A job that finds none says so to the host, which knows whether it has had it.
 */
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';

export class Uploads {
  readonly #streams = new Map<string, Readable>();

  /** Disposed of, whatever is left of the body is let go by. */
  offer(stream: Readable): { name: string } & Disposable {
    const name = randomUUID();
    this.#streams.set(name, stream);
    return {
      name,
      [Symbol.dispose]: () => {
        this.#streams.delete(name);
        stream.resume();
      },
    };
  }

  take(name: string): Readable | undefined {
    const stream = this.#streams.get(name);
    this.#streams.delete(name);
    return stream;
  }
}
