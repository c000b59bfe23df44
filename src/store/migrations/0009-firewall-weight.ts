/** What firewall rules cost the host that applies them, so that the sum of an account's can be bounded. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .alterTable('firewall_rule')
    .addColumn('weight', 'integer', (column) => column.notNull().defaultTo(1))
    .execute();
};

export const firewallWeight: Migration = { up };
