/** What an account may have. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('account')
    .addColumn('quota', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute();
  await db.schema.createIndex('machine_of_account').on('machine').columns(['account', 'cpu_millis', 'memory_mib', 'disk_mib', 'network_mbps']).execute();
};

export const tenants: Migration = { up };
