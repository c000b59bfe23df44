/** What a machine still waits for is found without reading all that was ever done to it. */
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.createIndex('job_unfinished_by_machine').on('job').columns(['machine', 'sequence']).where(sql.ref('finished_at'), 'is', null).execute();
};

export const unfinishedByMachine: Migration = { up };
