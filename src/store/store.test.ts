import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import * as account from './account.ts';
import { systemContext } from './context.ts';
import type { RequestContext } from './context.ts';
import * as event from './event.ts';
import * as job from './job.ts';
import * as machine from './machine.ts';
import * as meta from './meta.ts';
import * as packages from './package.ts';
import { Store } from './store.ts';

const withStore = async (work: (store: Store, path: string) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-store-'));
  try {
    const path = join(directory, 'store.sqlite');
    await using store = await Store.open(path);
    await work(store, path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

test('opens anew and again, for its owner only', () =>
  withStore(async (store, path) => {
    await meta.metaSet(systemContext, store.db, 'agent.sequence', '5');
    await using again = await Store.open(path);
    assert.equal(await meta.metaGet(systemContext, again.db, 'agent.sequence'), '5');
    for (const file of [path, `${path}-wal`]) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
  }));

test('a path that cannot be opened is said', async () => {
  await assert.rejects(Store.open('/nonexistent/store.sqlite'), /cannot be opened|unable to open|ENOENT/);
});

test('transactions that arrive together: one that fails takes nothing of the others', () =>
  withStore(async (store) => {
    const resources = { cpuMillis: 10, cpuCeilingMillis: null, memoryMib: 4, memoryCeilingMib: null, diskMib: 16, processes: 4 };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 250 }, (_, index) =>
        store.transaction(async (transaction) => {
          await packages.packageCreate(systemContext, transaction, { name: `p${index}`, resources, createdAt: '' });
          if (index % 3 === 0) throw new Error(`refused ${index}`);
          return index;
        }),
      ),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (index % 3 === 0) assert.match(String(outcome.status === 'rejected' && outcome.reason), /refused/);
      else assert.deepEqual(outcome, { status: 'fulfilled', value: index });
    }
    assert.equal((await packages.packageList(systemContext, store.db)).length, outcomes.filter(({ status }) => status === 'fulfilled').length);
  }));

test('a database that is full says so to all, and works again when there is room', () =>
  withStore(async (store) => {
    const write = (size: number) => store.transaction((transaction) => meta.metaSet(systemContext, transaction, 'agent.sequence', 'x'.repeat(size)));
    const { page_count: pages } = (await sql<{ page_count: number }>`pragma page_count`.execute(store.db)).rows[0]!;
    await sql.raw(`pragma max_page_count = ${pages + 4}`).execute(store.db);
    const outcomes = await Promise.allSettled([write(1_000_000), write(10)]);
    for (const outcome of outcomes) assert.match(String(outcome.status === 'rejected' && outcome.reason), /database or disk is full/);
    await sql`pragma max_page_count = 1000000`.execute(store.db);
    await write(1_000_000);
    assert.equal((await meta.metaGet(systemContext, store.db, 'agent.sequence'))?.length, 1_000_000);
  }));

test('every store method authorises first', () =>
  withStore(async ({ db }) => {
    const stranger: RequestContext = { account: 'default', actor: 'uid:65534', role: 'stranger' };
    const methods = [account, event, job, machine, meta, packages].flatMap((module) =>
      Object.entries(module).filter(([, value]) => typeof value === 'function'),
    );
    assert.ok(methods.length > 30, `${methods.length} methods`);
    for (const [name, method] of methods) {
      await assert.rejects(async () => (method as (...parameters: unknown[]) => Promise<unknown>)(stranger, db, {}, {}, {}), { code: 'forbidden' }, name);
    }
  }));
