import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import * as account from './account.ts';
import * as credential from './credential.ts';
import * as deletedMachine from './deleted-machine.ts';
import * as key from './key.ts';
import { completeResources, defaultCatalogue, defaultResources } from '../model/default-resources.ts';
import { systemContext } from './context.ts';
import type { RequestContext } from './context.ts';
import * as event from './event.ts';
import * as firewallRules from './firewall-rule.ts';
import * as image from './image.ts';
import * as job from './job.ts';
import * as machines from './machine.ts';
import * as meta from './meta.ts';
import { first as firstMigration } from './migrations/0001-first.ts';
import * as packages from './package.ts';
import * as role from './role.ts';
import * as setAside from './set-aside.ts';
import * as token from './token.ts';
import * as user from './user.ts';
import { openEngine } from './dialect/open.ts';
import { databases } from '../../test/support/databases.ts';
import type { TestDatabase } from '../../test/support/databases.ts';
import { Store } from './store.ts';

const [sqlite] = databases as [TestDatabase, TestDatabase];

const each = (name: string, work: (database: TestDatabase) => Promise<void>): void => {
  for (const database of databases) test(`${database.name}: ${name}`, { skip: database.skip }, () => work(database));
};

const withStore = (database: TestDatabase, work: (store: Store, location: string) => Promise<void>): Promise<void> =>
  database.with(async (location) => {
    await using store = await Store.open(location);
    await work(store, location);
  });

each('opens anew and again', (database) =>
  database.with(async (location) => {
    {
      await using store = await Store.open(location);
      await store.transaction((db) => meta.metaSet(systemContext, db, 'agent.sequence', '5'));
    }
    await using again = await Store.open(location);
    assert.equal(await meta.metaGet(systemContext, again.db, 'agent.sequence'), '5');
  }),
);

each('opens where a migration has come before those that it has', (database) =>
  database.with(async (location) => {
    await (await Store.open(location))[Symbol.asyncDispose]();
    {
      await using engine = openEngine(location);
      const writer = engine.writer as unknown as Kysely<{ kysely_migration: { name: string } }>;
      await writer.schema.alterTable('account').dropColumn('names_enabled').execute();
      await writer.deleteFrom('kysely_migration').where('name', '=', '0010-names').execute();
    }
    await using store = await Store.open(location);
    assert.equal((await account.accountGet(systemContext, store.db, 'default')).namesEnabled, true);
  }),
);

test('the file is for its owner only', () =>
  withStore(sqlite, async (_store, path) => {
    for (const file of [path, `${path}-wal`]) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
  }));

each('a store of the first schema is brought up to date: nothing changes for its machines', (database) =>
  database.with(async (location) => {
    const machine = { id: '018f0000-0000-7000-8000-000000000001', account: 'default' };
    const old = { cpuMillis: 100, cpuCeilingMillis: null, memoryMib: 64, memoryCeilingMib: 128, diskMib: 256, processes: 99 };
    {
      await using engine = openEngine(location);
      const first = engine.writer as Kysely<unknown> as Kysely<Record<string, Record<string, unknown>>>;
      await new Migrator({ db: first, provider: { getMigrations: () => Promise.resolve({ '0001-first': firstMigration }) } }).migrateToLatest();
      await first.insertInto('account').values({ id: 'default', name: 'default', created_at: '' }).execute();
      const columns = { state: 'running', desired: 'running', generation: 3, image: 'i', cpu_millis: 100, memory_mib: 64, disk_mib: 256, created_at: '' };
      const texts = { spec: JSON.stringify({ ...machine, resources: old }), body: JSON.stringify({ ...machine, package: 'large', resources: old }) };
      await first
        .insertInto('machine')
        .values({ ...machine, ...columns, ...texts, name: 'web', package: 'large' })
        .execute();
      await first
        .insertInto('package')
        .values({ name: 'large', resources: JSON.stringify(old), created_at: '2026-01-01' })
        .execute();
      const resize = { id: 'j', account: 'default', action: 'resize', actor: '', state: 'queued', generation: 4, result: '{}', created_at: '' };
      await first
        .insertInto('job')
        .values({ ...resize, request: JSON.stringify({ package: { name: 'large', resources: old }, patch: {} }) })
        .execute();
    }
    await using store = await Store.open(location);
    const now = completeResources(old);
    assert.deepEqual({ ...now, ...old }, now, 'what was there is as it was');
    const found = await packages.packageGet(systemContext, store.db, 'large');
    assert.deepEqual(found, { name: 'large', version: 1, resources: now, createdAt: '2026-01-01' }, 'and the catalogue does not replace it');
    const stored = await machines.machineGet(systemContext, store.db, machine.id);
    assert.deepEqual([stored.spec.resources, stored.machine.resources], [now, now]);
    assert.deepEqual([stored.machine.package, stored.reserved.networkMbps], [{ name: 'large', version: 1 }, 0]);
    const added = { machines: 1, cpuMillis: 100, memoryMib: 64, diskMib: 256, networkMbps: 0 };
    assert.deepEqual(await setAside.setAsideFor(systemContext, store.db, 'default'), { inAccount: added, inAll: added });
    const [unfinished] = await job.jobListUnfinished(systemContext, store.db);
    assert.deepEqual(unfinished!.request, { package: { name: 'large', resources: now, version: 1 }, patch: {} });
    await assert.rejects(packages.packageDelete(systemContext, store.db, 'large'), { code: 'in_use' });
    assert.equal((await packages.packageList(systemContext, store.db, true)).length, defaultCatalogue.length);
  }),
);

test('a path that cannot be opened is said', async () => {
  await assert.rejects(Store.open('/nonexistent/store.sqlite'), /cannot be opened|unable to open|ENOENT/);
});

each('transactions that arrive together: one that fails takes nothing of the others', (database) =>
  withStore(database, async (store) => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 250 }, (_, index) =>
        store.transaction(async (transaction) => {
          await packages.packageCreate(systemContext, transaction, { name: `p${index}`, resources: defaultResources, createdAt: '' });
          if (index % 3 === 0) throw new Error(`refused ${index}`);
          return index;
        }),
      ),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (index % 3 === 0) assert.match(String(outcome.status === 'rejected' && outcome.reason), /refused/);
      else assert.deepEqual(outcome, { status: 'fulfilled', value: index });
    }
    const made = await packages.packageList(systemContext, store.db, false);
    assert.equal(made.length - defaultCatalogue.length, outcomes.filter(({ status }) => status === 'fulfilled').length);
  }),
);

test('a database that is full says so to all, and works again when there is room', () =>
  withStore(sqlite, async (store) => {
    const write = (size: number) => store.transaction((transaction) => meta.metaSet(systemContext, transaction, 'agent.sequence', 'x'.repeat(size)));
    const { page_count: pages } = (await sql<{ page_count: number }>`pragma page_count`.execute(store.db)).rows[0]!;
    // A bound of the connection that writes.
    const allow = (count: number) => store.transaction((transaction) => sql.raw(`pragma max_page_count = ${count}`).execute(transaction));
    await allow(pages + 4);
    const outcomes = await Promise.allSettled([write(1_000_000), write(10)]);
    for (const outcome of outcomes) assert.match(String(outcome.status === 'rejected' && outcome.reason), /database or disk is full/);
    await allow(1_000_000);
    await write(1_000_000);
    assert.equal((await meta.metaGet(systemContext, store.db, 'agent.sequence'))?.length, 1_000_000);
  }));

each('who reads does not wait for the transactions that are under way, and sees nothing of them', (database) =>
  withStore(database, async (store) => {
    const begun = Promise.withResolvers<void>();
    const read = Promise.withResolvers<void>();
    const writing = store.transaction(async (transaction) => {
      await meta.metaSet(systemContext, transaction, 'agent.sequence', '7');
      begun.resolve();
      await read.promise;
    });
    await begun.promise;
    assert.equal(await meta.metaGet(systemContext, store.db, 'agent.sequence'), undefined);
    read.resolve();
    await writing;
    assert.equal(await meta.metaGet(systemContext, store.db, 'agent.sequence'), '7');
  }),
);

test('every store method authorises first', () =>
  withStore(sqlite, async ({ db }) => {
    const stranger: RequestContext = { account: 'default', actor: 'uid:65534', role: 'stranger' };
    const methods = [account, credential, deletedMachine, event, image, job, key, machines, meta, packages, role, setAside, token, user].flatMap((module) =>
      Object.entries(module).filter(([, value]) => typeof value === 'function'),
    );
    assert.ok(methods.length > 30, `${methods.length} methods`);
    for (const [name, method] of methods) {
      await assert.rejects(async () => (method as (...parameters: unknown[]) => Promise<unknown>)(stranger, db, {}, {}, {}), { code: 'forbidden' }, name);
    }
  }));

each('firewall rules: an account sees its own and the operator’s, and changes its own', (database) =>
  withStore(database, async (store) => {
    const stored = (id: string, owner: string | null): firewallRules.StoredRule => ({
      id,
      account: owner,
      rule: 'FROM any TO all vms ALLOW ah',
      enabled: id !== 'b',
      log: false,
      weight: 7,
      description: null,
      createdAt: `2026-01-01T00:00:0${id.charCodeAt(0) - 97}.000Z`,
    });
    const one: RequestContext = { account: 'default', actor: 'test', role: 'administrator' };
    const other: RequestContext = { account: 'other', actor: 'test', role: 'account' };
    await store.transaction(async (db) => {
      await account.accountEnsure(systemContext, db, 'other');
      await firewallRules.firewallRuleInsert(one, db, stored('a', 'default'));
      await firewallRules.firewallRuleInsert(one, db, stored('b', null));
      await firewallRules.firewallRuleInsert(other, db, stored('c', 'other'));
    });
    const seen = async (context: RequestContext) => (await firewallRules.firewallRuleList(context, store.db)).map(({ id }) => id);
    assert.deepEqual(
      [await seen(one), await seen(other)],
      [
        ['a', 'b'],
        ['b', 'c'],
      ],
    );
    assert.deepEqual(await firewallRules.firewallRuleGet(other, store.db, 'c'), stored('c', 'other'));
    await assert.rejects(firewallRules.firewallRuleGet(other, store.db, 'a'), { code: 'not_found' });
    await assert.rejects(
      store.transaction((db) => firewallRules.firewallRuleDelete(other, db, stored('b', null))),
      { code: 'forbidden' },
    );
    const enabled = async (ids: string[] | null) => (await firewallRules.firewallRuleEnabled(systemContext, store.db, ids)).map(({ id }) => id).sort();
    assert.deepEqual([await enabled(null), await enabled(['a', 'b', 'x'])], [['a', 'c'], ['a']]);
    assert.deepEqual(await firewallRules.firewallRuleLoad(one, store.db, null), { count: 1, weight: 7 });
    assert.deepEqual(await firewallRules.firewallRuleLoad(other, store.db, 'nobody'), { count: 0, weight: 0 });
    assert.deepEqual(await store.transaction((db) => firewallRules.firewallRuleDeleteAll(systemContext, db, 'other')), ['c']);
    await store.transaction((db) => account.accountDelete(systemContext, db, 'other'));
    assert.deepEqual(await enabled(null), ['a']);
  }),
);

test('sqlite: what a machine waits for is found by an index of what is unfinished, however much was done to it', () =>
  withStore(sqlite, async (store) => {
    const asked = sql`explain query plan select * from job where machine = ${'x'} and finished_at is null order by sequence`;
    const { rows } = await asked.execute(store.db);
    assert.deepEqual(
      rows.map((row) => (row as { detail: string }).detail),
      ['SEARCH job USING INDEX job_unfinished_by_machine (machine=?)'],
    );
  }));
