/** Access keys of accounts and their users. The secret is kept as it is: without it no signature could be checked. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('access_key')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('member', 'text', (column) => column.references('account_user.id').onDelete('cascade'))
    .addColumn('secret', 'text', (column) => column.notNull())
    .addColumn('active', 'integer', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('access_key_by_account').on('access_key').columns(['account', 'member']).execute();
  // Those of a user go with him.
  await db.schema.createIndex('access_key_by_member').on('access_key').column('member').execute();
};

export const accessKeys: Migration = { up };
