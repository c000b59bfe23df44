/** Public networks may be on a wire, at a device of the host, with or without a tag. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('network').addColumn('device', 'text').execute();
  await db.schema.alterTable('network').addColumn('tag', 'integer').execute();
};

export const wires: Migration = { up };
