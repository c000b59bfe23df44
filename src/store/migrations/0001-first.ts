/** The first schema: one account, one host, one network. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { sql } from 'kysely';

const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('meta')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('account')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('machine')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.notNull().references('account.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('desired', 'text', (column) => column.notNull())
    .addColumn('generation', 'integer', (column) => column.notNull())
    .addColumn('address', 'integer', (column) => column.unique())
    .addColumn('package', 'text')
    .addColumn('image', 'text', (column) => column.notNull())
    .addColumn('platform', 'text')
    .addColumn('cpu_millis', 'integer', (column) => column.notNull())
    .addColumn('memory_mib', 'integer', (column) => column.notNull())
    .addColumn('disk_mib', 'integer', (column) => column.notNull())
    .addColumn('spec', 'text', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('machine_by_name').on('machine').columns(['account', 'name', 'id']).execute();
  await db.schema.createIndex('machine_by_state').on('machine').columns(['account', 'state', 'name', 'id']).execute();
  await db.schema.createIndex('machine_by_image').on('machine').column('image').execute();
  await db.schema.createIndex('machine_by_platform').on('machine').column('platform').execute();
  await db.schema.createIndex('machine_guarantees').on('machine').columns(['cpu_millis', 'memory_mib', 'disk_mib']).execute();

  await db.schema
    .createTable('machine_name')
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('machine', 'text', (column) => column.notNull().references('machine.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('machine_name_key', ['account', 'name'])
    .execute();
  await db.schema.createIndex('machine_name_by_machine').on('machine_name').column('machine').execute();

  await db.schema
    .createTable('machine_tag')
    .addColumn('machine', 'text', (column) => column.notNull().references('machine.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('machine_tag_key', ['machine', 'name'])
    .execute();
  await db.schema.createIndex('machine_tag_by_value').on('machine_tag').columns(['name', 'value', 'machine']).execute();

  await db.schema
    .createTable('published_port')
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('host_port', 'integer', (column) => column.notNull())
    .addColumn('machine', 'text', (column) => column.notNull().references('machine.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('published_port_key', ['protocol', 'host_port'])
    .execute();
  await db.schema.createIndex('published_port_by_machine').on('published_port').column('machine').execute();

  await db.schema
    .createTable('job')
    .addColumn('sequence', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('account', 'text', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('machine', 'text')
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('generation', 'integer', (column) => column.notNull())
    .addColumn('request', 'text', (column) => column.notNull())
    .addColumn('result', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('finished_at', 'text')
    .addColumn('lease_owner', 'text')
    .addColumn('lease_until', 'text')
    .execute();
  await db.schema.createIndex('job_by_machine').on('job').columns(['machine', 'sequence']).execute();
  await db.schema.createIndex('job_unfinished').on('job').column('sequence').where(sql.ref('finished_at'), 'is', null).execute();

  await db.schema
    .createTable('package')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('resources', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('event')
    .addColumn('sequence', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('account', 'text')
    .addColumn('at', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('message', 'text', (column) => column.notNull())
    .addColumn('detail', 'text', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('network')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('subnet', 'text', (column) => column.notNull())
    .addColumn('gateway', 'text', (column) => column.notNull())
    .execute();
};

export const first: Migration = { up };
