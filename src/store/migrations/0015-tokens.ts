/** Short-lived tokens: of each its hash only, and the key that it was made with, without which it is worth nothing. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('access_token')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('member', 'text', (column) => column.references('account_user.id').onDelete('cascade'))
    .addColumn('fingerprint', 'text')
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('access_token_by_account').on('access_token').column('account').execute();
  await db.schema.createIndex('access_token_by_expiry').on('access_token').column('expires_at').execute();
};

export const tokens: Migration = { up };
