/** What is set aside for machines, added up: by account, and in all. */
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('set_aside')
    .addColumn('holder', 'text', (column) => column.primaryKey())
    .addColumn('machines', 'integer', (column) => column.notNull())
    .addColumn('cpu_millis', 'integer', (column) => column.notNull())
    .addColumn('memory_mib', 'integer', (column) => column.notNull())
    .addColumn('disk_mib', 'integer', (column) => column.notNull())
    .addColumn('network_mbps', 'integer', (column) => column.notNull())
    .execute();
  const sums = sql`count(*), coalesce(sum(cpu_millis), 0), coalesce(sum(memory_mib), 0), coalesce(sum(disk_mib), 0), coalesce(sum(network_mbps), 0)`;
  await sql`insert into set_aside select account, ${sums} from machine group by account`.execute(db);
  await sql`insert into set_aside select '*', ${sums} from machine`.execute(db);
  await db.schema.dropIndex('machine_guarantees').execute();
  await db.schema.dropIndex('machine_of_account').execute();
};

export const setAside: Migration = { up };
