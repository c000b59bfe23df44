/**
 * Transactions that arrive together are committed together: a sync of the disk costs more than the work of many. It is done on the thread
 * pool (base/wal-sync.ts), so that nothing else in the process waits for it. Each has a savepoint of its own, so that one that fails takes nothing back but its own.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Kysely, Transaction } from 'kysely';
import type { WalSync } from '../base/wal-sync.ts';
import type { Schema } from './schema.ts';

export type Work<T> = (transaction: Transaction<Schema>) => Promise<T>;

interface Waiting {
  durable: boolean;
  /** Does the work; gives what settles its caller once all is committed. */
  run: (transaction: Transaction<Schema>) => Promise<() => void>;
  reject: (error: unknown) => void;
}

const mostTogether = 100;

export class GroupCommit {
  readonly #db: Kysely<Schema>;
  readonly #wal: WalSync;
  #waiting: Waiting[] = [];
  #busy = false;

  /** The database's own commits must not sync (`synchronous = NORMAL`). */
  constructor(db: Kysely<Schema>, wal: WalSync) {
    this.#db = db;
    this.#wal = wal;
  }

  add<T>(work: Work<T>, durable: boolean): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = async (transaction: Transaction<Schema>) => {
      await sql`savepoint one`.execute(transaction);
      try {
        const value = await work(transaction);
        await sql`release savepoint one`.execute(transaction);
        return () => resolve(value);
      } catch (error) {
        try {
          await sql`rollback to savepoint one`.execute(transaction);
          await sql`release savepoint one`.execute(transaction);
        } catch {
          throw error; // a full disk ends the whole transaction: then it is the reason for all
        }
        return () => reject(error);
      }
    };
    this.#waiting.push({ durable, run, reject });
    if (!this.#busy) void this.#work();
    return promise;
  }

  /** Waits for the end of the event loop's turn, so that requests that were read in it are together. */
  async #work(): Promise<void> {
    this.#busy = true;
    await turn();
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, mostTogether);
      try {
        const settled = await this.#commit(group);
        if (group.some(({ durable }) => durable)) await this.#wal.sync();
        for (const settle of settled) settle();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
      await turn();
    }
    this.#busy = false;
  }

  #commit(group: readonly Waiting[]): Promise<(() => void)[]> {
    return this.#db.transaction().execute(async (transaction) => {
      const settled: (() => void)[] = [];
      for (const { run } of group) settled.push(await run(transaction));
      return settled;
    });
  }
}
