/**
 * Transactions that arrive together are committed together: a sync of the disk costs more than the work of many. Each has a savepoint of
 * its own, so that one that fails takes nothing back but its own. Where the database lets us sync by ourselves, the next are written meanwhile.
 *
 * When a commit itself fails, what was in it is written as a whole or not at all, and its callers cannot know which. Once the database
 * takes transactions again, `onRecovered` is called, for whoever must find out.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { CompiledQuery } from 'kysely';
import type { Kysely, Transaction } from 'kysely';
import { storeUnavailable } from './dialect/engine.ts';
import type { Engine } from './dialect/engine.ts';
import type { Schema } from './schema.ts';
import type { Written } from './written.ts';

export type Work<T> = (transaction: Transaction<Schema>) => Promise<T>;

interface Waiting {
  durable: boolean;
  /** Does the work; gives what settles its caller once all is committed. */
  run: (transaction: Transaction<Schema>) => Promise<() => void>;
  reject: (error: unknown) => void;
}

const beingReplaced = () => storeUnavailable('it is put back from a copy', undefined, 'try again in a moment');
const statements = {
  begin: CompiledQuery.raw('savepoint one'),
  end: CompiledQuery.raw('release savepoint one'),
  undo: CompiledQuery.raw('rollback to savepoint one'),
};
/** So few that those who wait for the first of them have begun what follows while the next are written. */
const mostTogether = 16;
const firstDelayMs = 100;
const longestDelayMs = 2000;

export class GroupCommit {
  readonly #engine: Engine;
  readonly #written: Written;
  readonly #writer: Kysely<Schema>;
  readonly #onRecovered: () => void;
  readonly #closing = new AbortController();
  #waiting: Waiting[] = [];
  #busy = false;
  /** The last group to be written: it is on disk, and its callers have been told. Never rejects. */
  #settled: Promise<void> = Promise.resolve();
  #recovering = false;
  #ended = false;

  constructor(engine: Engine, written: Written, onRecovered: () => void) {
    this.#engine = engine;
    this.#written = written;
    this.#writer = engine.writer.withPlugin(written);
    this.#onRecovered = onRecovered;
  }

  add<T>(work: Work<T>, durable: boolean): Promise<T> {
    if (this.#ended) return Promise.reject(beingReplaced());
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = async (transaction: Transaction<Schema>) => {
      await transaction.executeQuery(statements.begin);
      try {
        const value = await work(transaction);
        await transaction.executeQuery(statements.end);
        return () => resolve(value);
      } catch (error) {
        try {
          await transaction.executeQuery(statements.undo);
          await transaction.executeQuery(statements.end);
        } catch {
          throw error; // a full disk, or a lost connection, ends the whole transaction: then it is the reason for all
        }
        return () => reject(error);
      }
    };
    this.#waiting.push({ durable, run, reject });
    if (!this.#busy) void this.#work();
    return promise;
  }

  /** By itself, and the last: when it succeeds no other is taken any more. */
  async last<T>(work: Work<T>): Promise<T> {
    if (this.#ended) throw beingReplaced();
    this.#ended = true;
    try {
      await this.#idle();
      const value = await this.#engine.writer.transaction().execute(async (transaction) => {
        await this.#engine.begin(transaction, true);
        return work(transaction);
      });
      await this.#engine.sync();
      return value;
    } catch (error) {
      this.#ended = false;
      throw error;
    } finally {
      this.#written.replaced();
    }
  }

  /** Nothing is tried again after this; resolves when no sync is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#idle();
  }

  /** Nothing is written, and the last group is on disk. */
  async #idle(): Promise<void> {
    while (this.#busy) await turn();
    await this.#settled;
  }

  /** Waits for the end of the event loop's turn, so that requests that were read in it are together. While a group is synced, the next is written. */
  async #work(): Promise<void> {
    this.#busy = true;
    await turn();
    while (this.#waiting.length > 0) {
      if (!this.#engine.mayCommit) await this.#settled;
      const group = this.#waiting.splice(0, mostTogether);
      const durable = group.some((one) => one.durable);
      try {
        const settled = await this.#commit(group, durable);
        await this.#settled;
        this.#settled = this.#settle(group, settled, durable);
      } catch (error) {
        this.#refuse(group, error);
      }
      await turn();
    }
    this.#busy = false;
  }

  async #settle(group: readonly Waiting[], settled: readonly (() => void)[], durable: boolean): Promise<void> {
    try {
      if (durable) await this.#engine.sync();
      for (const settle of settled) settle();
    } catch (error) {
      this.#refuse(group, error);
    }
  }

  #refuse(group: readonly Waiting[], error: unknown): void {
    for (const { reject } of group) reject(error);
    if (!this.#recovering) void this.#recover();
  }

  async #commit(group: readonly Waiting[], durable: boolean): Promise<(() => void)[]> {
    try {
      return await this.#writer.transaction().execute(async (transaction) => {
        await this.#engine.begin(transaction, durable);
        const settled: (() => void)[] = [];
        for (const { run } of group) {
          settled.push(await run(transaction));
          // With a database in the process the work of many is one turn of the event loop, in which nobody who reads is answered.
          if (settled.length < group.length) await turn();
        }
        return settled;
      });
    } finally {
      this.#written.ended();
    }
  }

  /** Nobody may ask for a transaction for a long time: so this asks. */
  async #recover(): Promise<void> {
    const { signal } = this.#closing;
    this.#recovering = true;
    for (let delay = firstDelayMs; !signal.aborted; delay = Math.min(delay * 2, longestDelayMs)) {
      await sleep(delay, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.add(() => Promise.resolve(), true);
        break;
      } catch {
        // still away
      }
    }
    this.#recovering = false;
    if (!signal.aborted) this.#onRecovered();
  }
}
