/** Addresses that are an account's own, and float between its machines. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('address')
    .addColumn('account', 'text', (column) => column.references('account.id').onDelete('cascade'))
    .execute();
  await db.schema
    .alterTable('address')
    .addColumn('floats_to', 'text', (column) => column.references('machine.id').onDelete('set null'))
    .execute();
  await db.schema
    .alterTable('address')
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.createIndex('address_by_account').on('address').column('account').execute();
  await db.schema.createIndex('address_by_floats_to').on('address').column('floats_to').execute();
};

export const floatingAddresses: Migration = { up };
