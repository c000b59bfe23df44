/** Accounts that the operator lets in no more. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('account').addColumn('disabled_at', 'text').execute();
};

export const disabledAccounts: Migration = { up };
