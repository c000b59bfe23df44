/**
 * Makes what SQLite has committed durable without stopping the process: SQLite syncs its files in the thread that commits, which is milliseconds,
 * at a checkpoint tens of them, in which nothing else happens. With `synchronous = NORMAL` it writes the log and leaves the sync to us; we do it
 * on the thread pool. What is in the log and synced is found again after a power loss, exactly as with `synchronous = FULL`.
 *
 * Checkpoints keep SQLite's order: the log is synced, what it has is written to the database, that is synced, and only then comes the commit at
 * which SQLite may begin the log anew. It writes without a sync of its own, and we sync; until then nothing more is committed.
 *
 * Both files keep their names as long as a connection is open. Closing our descriptor of the database drops SQLite's locks on it, so it is closed
 * when the connections are.
 */
import { closeSync, fdatasync, openSync } from 'node:fs';

/** Of the connection that commits; `checkpoint` is done with by it, in one go and without a transaction. */
export const walPragmas = {
  /** As long as checkpoints are ours, SQLite makes none by itself: only where ours failed and the log is long. */
  open: 'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20000;',
  /** Once there is a WalSync. */
  synced: 'PRAGMA synchronous = NORMAL;',
  checkpoint: 'PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(PASSIVE); PRAGMA synchronous = NORMAL;',
} as const;

/** Syncs between two checkpoints: so much may be in the log that writing it takes a moment only. */
const everySyncs = 100;

export class WalSync implements Disposable {
  readonly #log: number;
  readonly #database: number;
  readonly #execute: (sql: string) => void;
  #syncs = 0;
  #holds = false;
  #closed = false;

  /** After the first write through a connection that stays open: the log is there from then on. `execute` is that connection's. */
  constructor(databasePath: string, execute: (sql: string) => void) {
    this.#log = openSync(`${databasePath}-wal`, 'r');
    this.#database = openSync(databasePath, 'r');
    this.#execute = execute;
  }

  /** Whether more may be committed while `sync` is under way. What a checkpoint writes is in the log, on disk, from before its sync began. */
  get mayCommit(): boolean {
    return !this.#holds;
  }

  /** Everything committed before the call is on disk when it resolves. One at a time. */
  async sync(): Promise<void> {
    this.#syncs += 1;
    this.#holds = this.#syncs % everySyncs === 0;
    try {
      await synced(this.#log);
      if (this.#holds) await this.#checkpoint();
    } finally {
      this.#holds = false;
    }
  }

  async #checkpoint(): Promise<void> {
    try {
      this.#execute(walPragmas.checkpoint);
    } catch {
      // A full disk, say: all is in the log still, and who commits is told.
      this.#execute(walPragmas.synced);
      return;
    }
    try {
      await synced(this.#database);
    } catch (error) {
      // Were it to go on, the log would begin anew over what may not be in the database. The next process finds all of it in the log.
      queueMicrotask(() => {
        throw error;
      });
      await new Promise(() => {});
    }
  }

  /** After the connections. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#log);
    closeSync(this.#database);
  }
}

const synced = (fd: number): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  return promise;
};
