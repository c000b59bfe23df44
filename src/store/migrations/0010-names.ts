/** Whether an account's machines have names in the DNS: they do, unless it is said otherwise. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('account')
    .addColumn('names_enabled', 'integer', (column) => column.notNull().defaultTo(1))
    .execute();
};

export const names: Migration = { up };
