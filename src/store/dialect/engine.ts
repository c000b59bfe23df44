/** What the store needs of a database. There are two: SQLite and PostgreSQL. Migrations and queries are the same text on both. */
import type { Kysely, Transaction } from 'kysely';
import { CenoteError } from '../../base/errors.ts';
import type { Schema, sequences } from '../schema.ts';

export interface Engine extends AsyncDisposable {
  /** For messages: without a password. */
  readonly shown: string;
  /** Only to read from. */
  readonly reader: Kysely<Schema>;
  /** One connection, on which transactions follow one another. */
  readonly writer: Kysely<Schema>;
  /** At the begin of a transaction: whether its end must be on disk. */
  begin(transaction: Transaction<Schema>, durable: boolean): Promise<void>;
  /** What has been committed as durable is on disk when this resolves. One at a time. */
  sync(): Promise<void>;
  /** Whether more may be committed while `sync` is under way. */
  readonly mayCommit: boolean;
  /** All as it is now, to be read while others write. */
  snapshot(): Promise<Snapshot>;
  /** The next row of a numbered table has a number above this one. */
  continueAfter(transaction: Transaction<Schema>, table: (typeof sequences)[number], sequence: number): Promise<void>;
}

export interface Snapshot extends AsyncDisposable {
  rows(table: keyof Schema): AsyncIterable<Record<string, string | number | null>>;
}

/** Away, full, taken over: machines are untouched, nothing is half written, and the same request may succeed later. */
export const storeUnavailable = (what: string, cause: unknown, advice = 'see whether its disk is full: cenote doctor'): CenoteError =>
  new CenoteError('unavailable', `the store cannot be used: ${what}`, { cause, advice });
