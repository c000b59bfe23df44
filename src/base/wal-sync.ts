/**
 * Makes what SQLite has committed durable without stopping the process: SQLite syncs its files in the thread that commits, which is milliseconds,
 * at a checkpoint tens of them, in which nothing else happens. With `synchronous = NORMAL` it writes the log and leaves the sync to us; we do it
 * on the thread pool. What is in the log and synced is found again after a power loss, exactly as with `synchronous = FULL`.
 *
 * Checkpoints keep SQLite's order: the log is synced, what it has is written to the database, that is synced, and only then comes the commit at
 * which SQLite may begin the log anew. It writes without a sync of its own, and we sync. Until it has written nothing more is committed; while
 * the database is synced, somebody reads, and SQLite begins no log anew that is read from: what is committed meanwhile goes to its end.
 *
 * The files keep their names as long as a connection is open. Closing our descriptor of one drops SQLite's locks on it, so they are closed when the
 * connections are.
 */
import { closeSync, fdatasync, openSync, readSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Of the connection that commits; `checkpoint` is done with by it, in one go and without a transaction. */
export const walPragmas = {
  /** As long as checkpoints are ours, SQLite makes none by itself: only where ours failed and the log is long. */
  open: 'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20000;',
  /** Once there is a WalSync. */
  synced: 'PRAGMA synchronous = NORMAL;',
  checkpoint: 'PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(PASSIVE); PRAGMA synchronous = NORMAL;',
} as const;

/**
 * Pages in the log that are not in the database: so many that writing them takes two milliseconds, in which the process stands still. Three
 * times as many take twice as long, for what is written again and again is in the log many times and goes to the database once.
 */
const mostPages = 2000;

/** A log of so many times as many is to begin anew: nothing is committed until the database is synced. Where nothing happens to be, it does so before. */
const longestTimes = 4;

const rewriteBytes = 2 ** 20;

/**
 * SQLite's index of the log, which is memory that its connections share and a file beside the database: two copies of a header of twelve words, in
 * whose fifth is the log's last frame, and then the last one that a checkpoint has written to the database. Of each frame there is a page.
 */
const indexWords = 25;
const lastFrameWord = 4;
const writtenFrameWord = 24;

export interface WalSyncOptions {
  mostPages?: number;
  /** Makes on disk what was written through the descriptor. */
  sync?: (fd: number) => Promise<void>;
}

export class WalSync implements Disposable {
  readonly #log: number;
  readonly #database: number;
  readonly #index: number;
  readonly #words = new Uint32Array(indexWords);
  readonly #path: string;
  readonly #execute: (sql: string) => void;
  readonly #mostPages: number;
  readonly #sync: (fd: number) => Promise<void>;
  /** The last frame when a checkpoint was last made: as long as somebody reads what was before, there is no use in another at once. */
  #tried = 0;
  #holds = false;
  /** The database's own sync after a checkpoint. */
  #settling: Promise<void> | undefined;
  #closed = false;

  /** After the first write through a connection that stays open: the log is there from then on. `execute` is that connection's. */
  constructor(databasePath: string, execute: (sql: string) => void, options: WalSyncOptions = {}) {
    this.#path = databasePath;
    this.#mostPages = options.mostPages ?? mostPages;
    this.#sync = options.sync ?? synced;
    this.#log = openSync(`${databasePath}-wal`, 'r+');
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
    this.#holds = this.#settling === undefined && this.#isLong();
    try {
      await this.#syncLog();
      if (this.#holds) await this.#checkpoint();
    } finally {
      this.#holds = false;
    }
  }

  /** Resolves when no sync of the database is under way: before its connections are closed. */
  async settled(): Promise<void> {
    await this.#settling;
  }

  /**
   * The kernel says once that it could not write, and takes the pages for clean then: the next sync would succeed without them, and what comes after
   * the gap would be lost with it. So they are written once more, to be synced with what follows.
   */
  async #syncLog(): Promise<void> {
    try {
      await this.#sync(this.#log);
    } catch (error) {
      try {
        rewrite(this.#log);
      } catch (worse) {
        endProcess(worse);
      }
      throw error;
    }
  }

  #isLong(): boolean {
    readSync(this.#index, this.#words, { position: 0 });
    const [last, written] = [this.#words[lastFrameWord]!, this.#words[writtenFrameWord]!];
    // The log has begun anew.
    if (last < this.#tried) this.#tried = 0;
    if (last - Math.max(written, this.#tried) < this.#mostPages) return false;
    this.#tried = last;
    return true;
  }

  async #checkpoint(): Promise<void> {
    const reader = this.#tried < longestTimes * this.#mostPages ? this.#readLog() : undefined;
    try {
      this.#execute(walPragmas.checkpoint);
    } catch {
      // A full disk, say: all is in the log still, and who commits is told.
      reader?.close();
      this.#execute(walPragmas.synced);
      return;
    }
    this.#settling = this.#syncDatabase(reader);
    if (reader === undefined) await this.#settling;
  }

  /** As long as it is open the log goes on where it is. Before a checkpoint: after one there is nothing in the log to read, and it would not count. */
  #readLog(): DatabaseSync | undefined {
    try {
      using opened = new DisposableStack();
      const reader = opened.adopt(new DatabaseSync(this.#path, { readOnly: true }), (one) => one.close());
      reader.exec('BEGIN; SELECT count(*) FROM sqlite_schema;');
      opened.move();
      return reader;
    } catch {
      return undefined; // no more files, say: then nothing is committed meanwhile
    }
  }

  async #syncDatabase(reader: DatabaseSync | undefined): Promise<void> {
    try {
      await this.#sync(this.#database);
    } catch (error) {
      // Were it to go on, the log would begin anew over what may not be in the database. The next process finds all of it in the log.
      endProcess(error);
      await new Promise(() => {});
    }
    reader?.close();
    this.#settling = undefined;
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

/** The same bytes in the same places. Nobody commits meanwhile: whoever does is in this thread. */
const rewrite = (fd: number): void => {
  const part = Buffer.alloc(rewriteBytes);
  for (let at = 0, read = 0; (read = readSync(fd, part, 0, part.length, at)) > 0; at += read) {
    if (writeSync(fd, part, 0, read, at) < read) throw new Error('the log could not be written once more');
  }
};

const endProcess = (error: unknown): void =>
  queueMicrotask(() => {
    throw error;
  });

const synced = (fd: number): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  return promise;
};
