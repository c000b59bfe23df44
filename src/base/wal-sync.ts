/**
 * Makes what SQLite has committed durable without stopping the process: SQLite syncs its log in the thread that commits, which is milliseconds
 * in which nothing else happens. With `synchronous = NORMAL` it writes the log and leaves the sync to us; we do it on the thread pool.
 * What is in the log and synced is found again after a power loss, exactly as with `synchronous = FULL`; checkpoints SQLite syncs itself.
 *
 * The log keeps its name and file as long as a connection is open, and SQLite takes no locks on it that closing our descriptor would drop.
 */
import { closeSync, fdatasync, openSync } from 'node:fs';

export class WalSync implements Disposable {
  readonly #fd: number;
  #closed = false;

  /** After the first write through a connection that stays open: the log is there from then on. */
  constructor(databasePath: string) {
    this.#fd = openSync(`${databasePath}-wal`, 'r');
  }

  /** Everything committed before the call is on disk when it resolves. */
  sync(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
    return promise;
  }

  [Symbol.dispose](): void {
    if (!this.#closed) closeSync(this.#fd);
    this.#closed = true;
  }
}
