/** Shares are taken, or left as they were. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { dirname } from 'node:path';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openAllotment } from '../host/allotment/allotment.ts';
import type { Allotment } from '../host/allotment/allotment.ts';
import { defaultRoot, instancePaths } from '../model/instance.ts';
import type { InstanceConfig } from '../model/instance.ts';
import { takeShare } from './promised.ts';
import type { ShareOptions } from './promised.ts';

const setUp = (context: TestContext): { base: string; allotment: Allotment } => {
  const base = mkdtempSync(`${tmpdir()}/promised-`);
  context.after(() => rmSync(base, { recursive: true, force: true }));
  const facts = {
    totals: () => ({ cpuMillis: 4000, memoryMib: 8192 }),
    usedAddresses: () => [],
    usedIds: () => [],
    isOnHost: () => false,
  };
  return { base, allotment: openAllotment({ directory: `${base}/host`, facts }) };
};

/** While no agent runs, its records say what is promised. */
const promise = (journalPath: string, guaranteesMib: readonly number[]): void => {
  mkdirSync(dirname(journalPath), { recursive: true });
  using opened = new DisposableStack();
  const database = opened.adopt(new DatabaseSync(journalPath), (one) => one.close());
  database.exec('CREATE TABLE machine (id TEXT PRIMARY KEY, record TEXT)');
  const insert = database.prepare('INSERT INTO machine VALUES (?, ?)');
  for (const [index, memoryMib] of guaranteesMib.entries()) {
    const resources = { cpuMillis: 10, memoryMib, diskMib: 64, networkMbps: 0 };
    insert.run(`m${index}`, JSON.stringify({ spec: { name: `m${index}`, resources } }));
  }
};

test('of an instance that had the rest of the host, what is not said stays as it is', async (context) => {
  const { allotment } = setUp(context);
  const { instance, share } = await allotment.register({ root: defaultRoot });
  assert.equal(share, null);
  const { memoryMib } = allotment.share(instance);
  const entry = await takeShare({ cpuMillis: 500 }, { instance } as InstanceConfig, instancePaths(defaultRoot), allotment);
  assert.deepEqual(entry.share, { cpuMillis: 500, memoryMib });
});

test('a share that is less than what is promised is refused, and so is one below the largest promise; the former stands', async (context) => {
  const { base, allotment } = setUp(context);
  const paths = instancePaths(`${base}/one`);
  mkdirSync(paths.root);
  promise(paths.agentJournal, [400, 300]);
  const { instance } = await allotment.register({ root: paths.root, cpuMillis: 1000, memoryMib: 1024 });
  const take = (options: ShareOptions) => takeShare(options, { instance } as InstanceConfig, paths, allotment);
  await assert.rejects(take({ memoryMib: 512 }), /machines are guaranteed 700M; 512M could be/);
  await assert.rejects(take({ memoryMib: 384, overcommit: { memory: 2 } }), /a machine is guaranteed 400M by itself; the pool would have 384M/);
  assert.deepEqual(allotment.share(instance), { cpuMillis: 1000, memoryMib: 1024 });
  await take({ memoryMib: 512, overcommit: { memory: 2 } });
  assert.deepEqual(allotment.share(instance), { cpuMillis: 1000, memoryMib: 512 });
});

test('what was promised while a share was being taken has it put back', async (context) => {
  const { base, allotment } = setUp(context);
  const paths = instancePaths(`${base}/one`);
  mkdirSync(paths.root);
  promise(paths.agentJournal, [400]);
  const { instance } = await allotment.register({ root: paths.root, cpuMillis: 1000, memoryMib: 1024 });
  const register = allotment.register.bind(allotment);
  allotment.register = async (request) => {
    rmSync(paths.agentJournal);
    promise(paths.agentJournal, [400, 200]);
    return register(request);
  };
  await assert.rejects(takeShare({ memoryMib: 512 }, { instance } as InstanceConfig, paths, allotment), /machines are guaranteed 600M/);
  assert.deepEqual(allotment.share(instance), { cpuMillis: 1000, memoryMib: 1024 });
});
