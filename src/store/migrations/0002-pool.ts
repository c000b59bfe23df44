/**
 * Packages in versions, a catalogue to begin with, and the resources that came later than CPU, memory, disk and processes: machines, packages
 * and jobs that were written without them get the values that change nothing.
 */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { completeResources, defaultCatalogue } from '../../model/default-resources.ts';
import type { Resources } from '../../model/resources.ts';

interface Tables {
  machine: { id: string; package: string | null; package_version: number | null; network_mbps: number; spec: string; body: string };
  job: { sequence: number; request: string; finished_at: string | null };
  package: { name: string; resources: string; created_at: string };
  package_version: { name: string; version: number; resources: string; created_at: string };
}

type Holder = { resources?: Partial<Resources> };
const complete = (holder: Holder | null | undefined): void => {
  if (holder?.resources !== undefined) holder.resources = completeResources(holder.resources);
};

const up = async (untyped: Kysely<unknown>): Promise<void> => {
  const db = untyped as Kysely<Tables>;
  await db.schema
    .createTable('package_version')
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('resources', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('package_version_key', ['name', 'version'])
    .execute();
  for (const row of await db.selectFrom('package').selectAll().execute()) {
    const resources = JSON.stringify(completeResources(JSON.parse(row.resources) as Partial<Resources>));
    await db
      .insertInto('package_version')
      .values({ ...row, version: 1, resources })
      .execute();
  }
  await db.schema.dropTable('package').execute();
  const createdAt = new Date().toISOString();
  for (const { name, resources } of defaultCatalogue) {
    await db
      .insertInto('package_version')
      .values({ name, version: 1, resources: JSON.stringify(resources), created_at: createdAt })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  await db.schema.alterTable('machine').addColumn('package_version', 'integer').execute();
  await db.schema
    .alterTable('machine')
    .addColumn('network_mbps', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.dropIndex('machine_guarantees').execute();
  await db.schema.createIndex('machine_guarantees').on('machine').columns(['cpu_millis', 'memory_mib', 'disk_mib', 'network_mbps']).execute();
  await db.schema.createIndex('machine_by_package').on('machine').columns(['package', 'package_version']).execute();
  for (const row of await db.selectFrom('machine').select(['id', 'package', 'spec', 'body']).execute()) {
    const spec = JSON.parse(row.spec) as Holder;
    const body = JSON.parse(row.body) as Holder & { package: unknown };
    complete(spec);
    complete(body);
    body.package = row.package === null ? null : { name: row.package, version: 1 };
    await db
      .updateTable('machine')
      .set({ spec: JSON.stringify(spec), body: JSON.stringify(body), package_version: row.package === null ? null : 1 })
      .where('id', '=', row.id)
      .execute();
  }

  await db.schema.createIndex('event_by_subject').on('event').columns(['subject', 'sequence']).execute();

  for (const row of await db.selectFrom('job').select(['sequence', 'request']).where('finished_at', 'is', null).execute()) {
    const request = JSON.parse(row.request) as { spec?: Holder; package?: (Holder & { version?: number }) | null };
    complete(request.spec);
    complete(request.package);
    if (request.package) request.package.version = 1;
    await db
      .updateTable('job')
      .set({ request: JSON.stringify(request) })
      .where('sequence', '=', row.sequence)
      .execute();
  }
};

export const pool: Migration = { up };
