/** What machines of a network carry for it. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('network')
    .addColumn('routes', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute();
};

export const networkRoutes: Migration = { up };
