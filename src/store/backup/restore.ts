/**
 * Puts a copy in the place of everything there is, in one transaction: the tables are made anew as they were when the copy was made, filled,
 * and brought up to date by the migrations that came since.
 */
import { sql } from 'kysely';
import type { Kysely, Transaction } from 'kysely';
import type { Migration } from 'kysely/migration';
import { CenoteError, invalid } from '../../base/errors.ts';
import { sequences, tables } from '../schema.ts';
import type { Schema } from '../schema.ts';
import type { Engine } from '../dialect/engine.ts';
import type { Copy, Header } from './format.ts';

export interface Restored extends Pick<Header, 'createdAt'> {
  rows: number;
  /** Actions that had not ended when the copy was made; they are not taken up. */
  dropped: number;
}

type AnyTables = Kysely<Record<string, Record<string, unknown>>>;

export const restore = async (
  db: Transaction<Schema>,
  engine: Engine,
  migrations: Readonly<Record<string, Migration>>,
  { header, tables: batches }: Copy,
): Promise<Restored> => {
  const names = Object.keys(migrations);
  const at = names.indexOf(header.schema);
  if (at === -1) {
    throw new CenoteError('unsupported', `the copy is of a later version of Cenote (its schema is ${JSON.stringify(header.schema)})`, {
      advice: 'upgrade first: git pull && sudo ./cenote up',
    });
  }
  const untyped = db as unknown as AnyTables;
  const reached = await Promise.all(sequences.map((table) => lastOf(db, table)));
  for (const table of tables.toReversed()) await db.schema.dropTable(table).execute();
  for (const name of names.slice(0, at + 1)) await migrations[name]!.up(db);
  const there = await emptied(untyped);
  let rows = 0;
  for await (const batch of batches) {
    if (!there.has(batch.table)) throw invalid('backup', `the copy has a table that its schema does not know: ${JSON.stringify(batch.table)}`);
    await untyped.insertInto(batch.table).values(batch.rows).execute();
    rows += batch.rows.length;
  }
  for (const name of names.slice(at + 1)) await migrations[name]!.up(db);
  // Who follows by number must not take what is to come for what it has seen.
  for (const [index, table] of sequences.entries()) await engine.continueAfter(db, table, Math.max(reached[index]!, await lastOf(db, table)));
  return { createdAt: header.createdAt, rows, dropped: await endUnfinished(db, header) };
};

const lastOf = async (db: Kysely<Schema>, table: (typeof sequences)[number]): Promise<number> =>
  (
    await db
      .selectFrom(table)
      .select(sql<number | null>`max(sequence)`.as('last'))
      .executeTakeFirstOrThrow()
  ).last ?? 0;

/** Migrations put rows of their own into new tables. */
const emptied = async (db: AnyTables): Promise<ReadonlySet<string>> => {
  const there = (await db.introspection.getTables()).map(({ name }) => name);
  const known: readonly string[] = tables;
  const order = [...there.filter((name) => !known.includes(name)), ...known.toReversed().filter((name) => there.includes(name))];
  for (const name of order) await db.deleteFrom(name).execute();
  return new Set(there);
};

/** The host has gone on since: what was meant then must not be done now. */
const endUnfinished = async (db: Kysely<Schema>, { createdAt }: Header): Promise<number> => {
  const { numUpdatedRows } = await db
    .updateTable('job')
    .set({
      state: 'failed',
      finished_at: new Date().toISOString(),
      reason: `not taken up: the store was put back from the copy of ${createdAt}`,
      lease_owner: null,
      lease_until: null,
    })
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  return Number(numUpdatedRows);
};
