/** Accounts with a profile and SSH keys, who called for a job, and what a deleted machine was. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('account')
    .addColumn('profile', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute();
  await db.schema
    .alterTable('account')
    .addColumn('updated_at', 'text', (column) => column.notNull().defaultTo(''))
    .execute();

  await db.schema
    .createTable('account_key')
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('fingerprint', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('public_key', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('account_key_key', ['account', 'fingerprint'])
    .addUniqueConstraint('account_key_name', ['account', 'name'])
    .execute();

  await db.schema.alterTable('job').addColumn('caller', 'text').execute();
  await db.schema.createIndex('job_by_account').on('job').columns(['account', 'sequence']).execute();

  await db.schema
    .createTable('deleted_machine')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('deleted_at', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('deleted_machine_by_account').on('deleted_machine').columns(['account', 'deleted_at']).execute();
};

export const accounts: Migration = { up };
