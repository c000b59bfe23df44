/** Users of accounts, their keys, and the roles and policies that say what they may do. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('account_user')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('login', 'text', (column) => column.notNull())
    .addColumn('profile', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('account_user_login', ['account', 'login'])
    .execute();

  await db.schema
    .createTable('user_key')
    .addColumn('member', 'text', (column) => column.notNull().references('account_user.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('fingerprint', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('public_key', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('user_key_key', ['member', 'fingerprint'])
    .addUniqueConstraint('user_key_name', ['member', 'name'])
    .execute();

  await db.schema
    .createTable('access_policy')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('rules', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('access_policy_name', ['account', 'name'])
    .execute();

  await db.schema
    .createTable('access_role')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('access_role_name', ['account', 'name'])
    .execute();

  await db.schema
    .createTable('role_policy')
    .addColumn('role', 'text', (column) => column.notNull().references('access_role.id').onDelete('cascade'))
    .addColumn('policy', 'text', (column) => column.notNull().references('access_policy.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('role_policy_key', ['role', 'policy'])
    .execute();

  await db.schema
    .createTable('role_member')
    .addColumn('role', 'text', (column) => column.notNull().references('access_role.id').onDelete('cascade'))
    .addColumn('member', 'text', (column) => column.notNull().references('account_user.id').onDelete('cascade'))
    .addColumn('by_default', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('role_member_key', ['role', 'member'])
    .execute();
  await db.schema.createIndex('role_member_by_member').on('role_member').column('member').execute();

  await db.schema
    .createTable('role_tag')
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('resource', 'text', (column) => column.notNull())
    .addColumn('role', 'text', (column) => column.notNull().references('access_role.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('role_tag_key', ['account', 'resource', 'role'])
    .execute();
};

export const access: Migration = { up };
