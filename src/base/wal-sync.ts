/**
 * Makes what SQLite has committed durable without stopping the process: SQLite syncs its files in the thread that commits, which is milliseconds,
 * at a checkpoint tens of them, in which nothing else happens. With `synchronous = NORMAL` it writes the log and leaves the sync to us; we do it
 * on the thread pool. What is in the log and synced is found again after a power loss, exactly as with `synchronous = FULL`.
 *
 * Checkpoints keep SQLite's order: the log is synced, what it has is written to the database, that is synced, and only then comes the commit at
 * which SQLite may begin the log anew. It writes without a sync of its own, and we sync; until then nothing more is committed.
 *
 * The files keep their names as long as a connection is open. Closing our descriptor of one drops SQLite's locks on it, so they are closed when the
 * connections are.
 */
import { closeSync, fdatasync, openSync, readSync } from 'node:fs';

/** Of the connection that commits; `checkpoint` is done with by it, in one go and without a transaction. */
export const walPragmas = {
  /** As long as checkpoints are ours, SQLite makes none by itself: only where ours failed and the log is long. */
  open: 'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20000;',
  /** Once there is a WalSync. */
  synced: 'PRAGMA synchronous = NORMAL;',
  checkpoint: 'PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(PASSIVE); PRAGMA synchronous = NORMAL;',
} as const;

/**
 * Pages in the log that are not in the database: so many that writing them takes a few milliseconds, in which the process stands still. Three
 * times as many take twice as long, for what is written again and again is in the log many times and goes to the database once.
 */
const mostPages = 3000;

/**
 * SQLite's index of the log, which is memory that its connections share and a file beside the database: two copies of a header of twelve words, in
 * whose fifth is the log's last frame, and then the last one that a checkpoint has written to the database. Of each frame there is a page.
 */
const indexWords = 25;
const lastFrameWord = 4;
const writtenFrameWord = 24;

export class WalSync implements Disposable {
  readonly #log: number;
  readonly #database: number;
  readonly #index: number;
  readonly #words = new Uint32Array(indexWords);
  readonly #execute: (sql: string) => void;
  /** The last frame when a checkpoint was last made: as long as somebody reads what was before, there is no use in another at once. */
  #tried = 0;
  #holds = false;
  #closed = false;

  /** After the first write through a connection that stays open: the log is there from then on. `execute` is that connection's. */
  constructor(databasePath: string, execute: (sql: string) => void) {
    this.#log = openSync(`${databasePath}-wal`, 'r');
    this.#database = openSync(databasePath, 'r');
    this.#index = openSync(`${databasePath}-shm`, 'r');
    this.#execute = execute;
  }

  /** Whether more may be committed while `sync` is under way. What a checkpoint writes is in the log, on disk, from before its sync began. */
  get mayCommit(): boolean {
    return !this.#holds;
  }

  /** Everything committed before the call is on disk when it resolves. One at a time. */
  async sync(): Promise<void> {
    this.#holds = this.#isLong();
    try {
      await synced(this.#log);
      if (this.#holds) await this.#checkpoint();
    } finally {
      this.#holds = false;
    }
  }

  #isLong(): boolean {
    readSync(this.#index, this.#words, { position: 0 });
    const [last, written] = [this.#words[lastFrameWord]!, this.#words[writtenFrameWord]!];
    // The log has begun anew.
    if (last < this.#tried) this.#tried = 0;
    if (last - Math.max(written, this.#tried) < mostPages) return false;
    this.#tried = last;
    return true;
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
    closeSync(this.#index);
  }
}

const synced = (fd: number): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  return promise;
};
