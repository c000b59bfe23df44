import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../src/base/logger.ts';
import { run, start } from '../../src/exec/run.ts';
import { BtrfsPool } from '../../src/host/storage/btrfs-pool.ts';
import { shrinkMarginMib } from '../../src/host/storage/btrfs-volumes.ts';
import { destroyStorage, openStorage } from '../../src/host/storage/open.ts';
import { poolFileCreate } from '../../src/host/storage/pool-file.ts';
import { mountedAt, poolMount, poolUnmount } from '../../src/host/storage/pool-mount.ts';
import { snapshotContract, storageContract } from '../../src/host/storage/storage-contract.ts';
import { isQuotaExceeded } from '../../src/host/storage/storage-error.ts';
import type { Storage } from '../../src/host/storage/storage.ts';
import { fileSystemUuid, subvolumeCreate } from '../../src/sys/btrfs.ts';
import { quotaEnableFull } from '../../src/sys/btrfs-quota.ts';
import { loopAttach, loopFind } from '../../src/sys/loop.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const mib = 1024 * 1024;
const poolMib = 768;
const chunk = Buffer.alloc(mib, 'cenote');
const skip = process.getuid?.() === 0 ? false : 'needs root';

const roots: string[] = [];
const newRoot = (): string => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-storage-'));
  roots.push(root);
  return root;
};
const opened: Storage[] = [];
const open = async (root: string): Promise<Storage> => {
  const storage = await openStorage({ root, driver: 'btrfs', sizeMib: poolMib, logger });
  opened.push(storage);
  return storage;
};
const pool = (root: string, ...names: string[]): string => join(root, 'storage', 'pool', ...names);
const poolFile = (root: string): string => join(root, 'storage', 'pool.img');

/** Writes until it is refused; the result is how many MiB went in, and why it ended. */
const fill = (path: string, mostMib: number): { mib: number; code: string } => {
  const fd = openSync(path, 'a');
  try {
    for (let written = 0; written < mostMib; written += 1) {
      try {
        writeSync(fd, chunk);
      } catch (error) {
        return { mib: written, code: isQuotaExceeded(error) ? 'EDQUOT' : (error as NodeJS.ErrnoException).code! };
      }
    }
    return { mib: mostMib, code: '' };
  } finally {
    closeSync(fd);
  }
};

const groupNames = (root: string): string[] => {
  const fd = openSync(pool(root), 'r');
  try {
    return readdirSync(`/sys/fs/btrfs/${fileSystemUuid(fd)}/qgroups`).filter((name) => /^\d/.test(name));
  } finally {
    closeSync(fd);
  }
};

const shared = skip === false ? newRoot() : '';
let storage: Storage;

before(async () => {
  if (skip === false) storage = await open(shared);
});
after(async () => {
  for (const one of opened) await one.close();
  const destroyed = await Promise.allSettled(roots.map((root) => destroyStorage({ root, logger })));
  for (const [index, result] of destroyed.entries()) if (result.status === 'fulfilled') rmSync(roots[index]!, { recursive: true, force: true });
  assert.deepEqual(
    destroyed.filter(({ status }) => status === 'rejected'),
    [],
  );
});

if (skip === false) {
  storageContract('btrfs', () => storage);
  snapshotContract('btrfs', () => storage);
}

test('the pool is closed to others, without devices or setuid, and all of its file is allocated', { skip }, () => {
  assert.equal(statSync(pool(shared)).mode & 0o777, 0o700);
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((entry) => entry.includes(` ${pool(shared)} `))!;
  for (const option of ['nosuid', 'nodev', 'noatime']) assert.match(line, new RegExp(`[ ,]${option}[ ,]`));
  assert.doesNotMatch(line, /discard=async/);
  const { size, blocks } = statSync(poolFile(shared));
  assert.equal(size, poolMib * mib);
  assert.ok(blocks * 512 >= size);
});

test('a quota is hit exactly, grows live, and shrinks only to what fits', { skip }, async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  const file = join(storage.volumePath(id), 'upper', 'data');
  const first = fill(file, 200);
  assert.equal(first.code, 'EDQUOT');
  assert.ok(first.mib >= 60 && first.mib <= 64, `${first.mib} MiB of 64`);
  await storage.volumeResize(id, 96);
  const second = fill(file, 200);
  assert.equal(second.code, 'EDQUOT');
  assert.ok(first.mib + second.mib >= 92 && first.mib + second.mib <= 96, `${first.mib + second.mib} MiB of 96`);
  await assert.rejects(storage.volumeResize(id, 80), { code: 'not_enough', message: /9\d MiB are used/ });
  assert.equal((await storage.volumeUsage(id)).quotaMib, 96);
  unlinkSync(file);
  await storage.volumeResize(id, 16);
  assert.equal(fill(file, 200).code, 'EDQUOT');
  unlinkSync(file);
  await storage.volumeResize(id, 64);
  const used = fill(file, 30).mib;
  await storage.volumeResize(id, used + shrinkMarginMib + 1);
  // The margin is what makes this true: a file can be emptied and another made at the new limit.
  writeFileSync(file, '');
  writeFileSync(`${file}.2`, 'x');
  await storage.volumeDelete(id);
});

test('snapshots count against the quota, and roll back on a full volume', { skip }, async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  const file = join(storage.volumePath(id), 'upper', 'data');
  fill(file, 30);
  await storage.snapshotCreate(id, 'thirty');
  assert.ok((await storage.snapshotList(id))[0]!.sizeMib < 1);
  unlinkSync(file);
  assert.equal(fill(file, 60).code, 'EDQUOT');
  await storage.commit();
  const [listed] = await storage.snapshotList(id);
  assert.ok(listed!.sizeMib >= 30 && listed!.sizeMib < 31, `${listed!.sizeMib}`);
  await storage.snapshotRollback(id, 'thirty');
  assert.equal(statSync(file).size, 30 * mib);
  await storage.volumeDelete(id);
});

test('usage tells at once what was written', { skip }, async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  fill(join(storage.volumePath(id), 'upper', 'data'), 20);
  assert.ok((await storage.volumeUsage(id)).usedMib >= 20);
  await storage.commit();
  const { usedMib } = await storage.volumeUsage(id);
  assert.ok(usedMib >= 20 && usedMib < 22, `${usedMib}`);
  await storage.volumeDelete(id);
});

test('a subvolume made inside a volume goes with it', { skip }, async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  const fd = openSync(join(storage.volumePath(id), 'upper'), 'r');
  await subvolumeCreate(fd, 'nested');
  const inner = openSync(join(storage.volumePath(id), 'upper', 'nested'), 'r');
  await subvolumeCreate(inner, 'deeper');
  closeSync(inner);
  closeSync(fd);
  await storage.volumeDelete(id);
  assert.ok(!existsSync(storage.volumePath(id)));
});

test('a sealed tree cannot be written', { skip }, async () => {
  const id = randomUUID();
  const staged = await storage.treeStage('platform', id);
  writeFileSync(join(staged, 'file'), 'x');
  await storage.treeSeal('platform', id);
  assert.throws(() => writeFileSync(join(storage.treePath('platform', id), 'file'), 'y'), { code: 'EROFS' });
  await storage.treeDelete('platform', id);
});

test('a pool that is full says so, and lets go', { skip }, async () => {
  const root = newRoot();
  const full = await open(root);
  const id = randomUUID();
  await full.volumeCreate(id, { quotaMib: 10 * poolMib });
  const { code } = fill(join(full.volumePath(id), 'upper', 'data'), 2 * poolMib);
  assert.equal(code, 'ENOSPC');
  await full.commit();
  await full.volumeDelete(id);
  await full.commit();
  const next = randomUUID();
  await full.volumeCreate(next, { quotaMib: 64 });
  await full.volumeDelete(next);
  await full.close();
  await destroyStorage({ root, logger });
});

test('opened again it is the same mount; after a restart of the host everything is back', { skip }, async () => {
  const root = newRoot();
  const id = randomUUID();
  const one = await open(root);
  await one.volumeCreate(id, { quotaMib: 64 });
  writeFileSync(join(one.volumePath(id), 'upper', 'file'), 'kept');
  await one.snapshotCreate(id, 's');
  await one.commit();
  await one.close();
  const device = mountedAt(pool(root));
  const two = await open(root);
  assert.deepEqual(mountedAt(pool(root)), device);
  assert.equal(
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${pool(root)} `)).length,
    1,
  );
  await two.close();
  await poolUnmount(pool(root));
  for (let waited = 0; loopFind(poolFile(root)) !== null && waited < 50; waited += 1) await sleep(20);
  assert.equal(loopFind(poolFile(root)), null);
  const three = await open(root);
  assert.deepEqual(await three.volumeList(), [id]);
  assert.equal((await three.volumeUsage(id)).quotaMib, 64);
  assert.equal(readFileSync(join(three.volumePath(id), 'upper', 'file'), 'utf8'), 'kept');
  assert.deepEqual(
    (await three.snapshotList(id)).map(({ name }) => name),
    ['s'],
  );
  await three.volumeCreate(randomUUID(), { quotaMib: 64 });
  await three.close();
});

test('what a crash left half made is removed or finished', { skip }, async () => {
  const root = newRoot();
  const one = await open(root);
  await one.treeStage('image', 'half');
  const id = randomUUID();
  await one.volumeCreate(id, { quotaMib: 64 });
  await one.snapshotCreate(id, 's');
  await one.close();
  mkdirSync(pool(root, 'staging', 'plain'));
  const trees = openSync(pool(root, 'trees', 'image'), 'r');
  await subvolumeCreate(trees, 'unsealed');
  const volumes = openSync(pool(root, 'volumes'), 'r');
  closeSync(trees);
  closeSync(volumes);
  const two = await open(root);
  assert.deepEqual(readdirSync(pool(root, 'staging')), []);
  assert.throws(() => mkdirSync(join(two.treePath('image', 'unsealed'), 'x')), { code: 'EROFS' });
  assert.deepEqual(await two.volumeList(), [id]);
  await two.close();
});

test('killed at any moment, it loses nothing that was done and leaves nothing half made', { skip, timeout: 120_000 }, async () => {
  const root = newRoot();
  await (await open(root)).close();
  for (let round = 0; round < 8; round += 1) {
    const facts = await runVictim(root, 30 + Math.random() * 250);
    const survivor = await open(root);
    const listed = await survivor.volumeList();
    assert.deepEqual(readdirSync(pool(root, 'staging')), []);
    const of = (event: string) => new Set(facts.filter((fact) => fact.event === event).map(({ id }) => id!));
    const mayBeGone = of('deleting');
    for (const id of of('created')) {
      if (mayBeGone.has(id)) continue;
      assert.ok(listed.includes(id), `${id} was created`);
      assert.ok(existsSync(join(survivor.volumePath(id), 'upper', 'file')));
    }
    for (const id of of('deleted')) assert.ok(!listed.includes(id), `${id} was deleted`);
    for (const id of of('rolledBack')) if (!mayBeGone.has(id)) assert.equal(readFileSync(join(survivor.volumePath(id), 'upper', 'file'), 'utf8'), 'first');
    for (const id of readdirSync(pool(root, 'volumes'))) {
      assert.deepEqual(readdirSync(survivor.volumePath(id)).toSorted(), ['group', 'upper', 'work']);
      assert.equal((await survivor.volumeUsage(id)).quotaMib, 64);
    }
    for (const id of listed) await survivor.volumeDelete(id);
    for (const id of await survivor.treeList('image')) await survivor.treeDelete('image', id);
    await survivor.close();
  }
  await assertNoGroupsLeft(root);
});

test('many creates and deletes leave no quota group behind', { skip, timeout: 120_000 }, async () => {
  const root = newRoot();
  const busy = await open(root);
  const origin = randomUUID();
  await busy.volumeCreate(origin, { quotaMib: 64 });
  fill(join(busy.volumePath(origin), 'upper', 'data'), 2);
  await busy.snapshotCreate(origin, 's');
  const cycle = async (number: number): Promise<void> => {
    const id = randomUUID();
    await busy.volumeCreate(id, number % 4 === 0 ? { quotaMib: 64, from: { volume: origin, snapshot: 's' } } : { quotaMib: 64 });
    if (number % 8 === 0) fill(join(busy.volumePath(id), 'upper', 'own'), 1);
    if (number % 8 === 1) await busy.snapshotCreate(id, 'a');
    if (number % 16 === 1) await busy.snapshotRollback(id, 'a');
    await busy.volumeDelete(id);
  };
  for (let done = 0; done < 200; done += 8) await Promise.all(Array.from({ length: 8 }, (_, index) => cycle(done + index)));
  await busy.volumeDelete(origin);
  assert.deepEqual(await busy.volumeList(), []);
  await busy.close();
  await assertNoGroupsLeft(root);
});

test('destroyed, it leaves no mount, no loop device and no file; and may be destroyed again', { skip }, async () => {
  const root = newRoot();
  const doomed = await open(root);
  const id = randomUUID();
  await doomed.volumeCreate(id, { quotaMib: 64 });
  const held = openSync(join(doomed.volumePath(id), 'upper'), 'r');
  await doomed.close();
  await assert.rejects(destroyStorage({ root, logger }), { code: 'in_use' });
  assert.ok(existsSync(poolFile(root)));
  closeSync(held);
  await destroyStorage({ root, logger });
  await destroyStorage({ root, logger });
  assert.equal(mountedAt(pool(root)), null);
  assert.deepEqual(readdirSync(root), []);
});

test('a pool that the host cannot spare is refused with the numbers, and leaves nothing', { skip }, async () => {
  const root = newRoot();
  await assert.rejects(openStorage({ root, driver: 'btrfs', sizeMib: 1024 * 1024 * 1024, logger }), { code: 'not_enough', message: /can spare/ });
  await assert.rejects(openStorage({ root, driver: 'btrfs', sizeMib: 1, logger }), { code: 'invalid_argument' });
  assert.deepEqual(
    readdirSync(join(root, 'storage')).filter((name) => name.startsWith('pool.img')),
    [],
  );
  await (await openStorage({ root, driver: 'directory', logger })).close();
  await assert.rejects(open(root), { code: 'wrong_state' });
});

test('what may be promised is less what trees hold, and what a copy holds of a deleted volume', { skip }, async () => {
  const root = newRoot();
  const one = await open(root);
  const empty = (await one.capacity()).promisableMib;
  assert.ok(empty < poolMib && empty > poolMib * 0.9);
  const [tree, origin, copy] = [randomUUID(), randomUUID(), randomUUID()];
  fill(join(await one.treeStage('image', tree), 'data'), 10);
  await one.treeSeal('image', tree);
  assert.ok(Math.abs(empty - (await one.capacity()).promisableMib - 10) <= 1);
  await one.volumeCreate(origin, { quotaMib: 64 });
  fill(join(one.volumePath(origin), 'upper', 'data'), 20);
  await one.snapshotCreate(origin, 's');
  await one.volumeCreate(copy, { quotaMib: 64, from: { volume: origin, snapshot: 's' } });
  assert.ok(Math.abs(empty - (await one.capacity()).promisableMib - 10) <= 1);
  await one.volumeDelete(origin);
  assert.ok(Math.abs(empty - (await one.capacity()).promisableMib - 30) <= 1);
  await one.close();
});

test('with full quotas, as older kernels have them, a copy is billed for what it shares', { skip }, async () => {
  const root = newRoot();
  mkdirSync(pool(root), { recursive: true });
  await poolFileCreate(poolFile(root), poolMib, logger);
  await poolMount({ kind: 'file', path: poolFile(root) }, pool(root), logger);
  const fd = openSync(pool(root), 'r');
  await quotaEnableFull(fd);
  closeSync(fd);
  const full = await open(root);
  assert.equal(full.features.quota, 'qgroup');
  assert.equal(full.features.lacks.length, 1);
  const [origin, copy] = [randomUUID(), randomUUID()];
  await full.volumeCreate(origin, { quotaMib: 64 });
  const file = join(full.volumePath(origin), 'upper', 'data');
  fill(file, 30);
  await full.snapshotCreate(origin, 's');
  unlinkSync(file);
  assert.equal(fill(file, 60).code, 'EDQUOT');
  await full.snapshotRollback(origin, 's');
  await assert.rejects(full.volumeCreate(copy, { quotaMib: 32, from: { volume: origin, snapshot: 's' } }), { code: 'not_enough' });
  assert.ok(!(await full.volumeList()).includes(copy));
  await full.volumeCreate(copy, { quotaMib: 64, from: { volume: origin, snapshot: 's' } });
  for (let waited = 0; (await full.volumeUsage(copy)).usedMib < 30 && waited < 100; waited += 1) await sleep(50);
  assert.ok((await full.volumeUsage(copy)).usedMib >= 30);
  await full.volumeDelete(origin);
  await full.volumeDelete(copy);
  await full.close();
  await assertNoGroupsLeft(root);
});

test('a block device is formatted once, recognised afterwards, and given back blank', { skip }, async () => {
  const root = newRoot();
  const backing = join(root, 'disk');
  const file = openSync(backing, 'w+', 0o600);
  ftruncateSync(file, poolMib * mib);
  const disk = loopAttach(file, backing);
  closeSync(file);
  const openDevice = (device?: string) => openStorage({ root, driver: 'btrfs', device, logger });
  try {
    await assert.rejects(openDevice('/dev/null'), { code: 'invalid_argument', message: /not a block device/ });
    const id = randomUUID();
    const one = await openDevice(disk.path);
    opened.push(one);
    await one.volumeCreate(id, { quotaMib: 64 });
    await one.commit();
    await one.close();
    await poolUnmount(pool(root));
    const two = await openDevice();
    opened.push(two);
    assert.deepEqual(await two.volumeList(), [id]);
    await two.close();
    await destroyStorage({ root, logger });
    await run('mkfs.btrfs', ['-q', '-K', disk.path]);
    await assert.rejects(openDevice(disk.path), { code: 'failed', message: /mkfs/ });
    await destroyStorage({ root, logger });
  } finally {
    closeSync(disk.fd);
  }
});

interface Fact {
  event: string;
  id?: string;
}

/** Starts the victim, lets it work for a while, kills it, and gives back what it said. */
const runVictim = async (root: string, workMs: number): Promise<Fact[]> => {
  const child = start(process.execPath, [join(import.meta.dirname, 'storage-victim.ts'), root], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const ended = new Promise((resolve) => child.on('close', resolve));
  const ready = new Promise((resolve) => child.stdout!.once('data', resolve));
  child.stdout!.on('data', (bytes: Buffer) => (output += bytes.toString('utf8')));
  await Promise.race([ready, ended]);
  await sleep(workMs);
  child.kill('SIGKILL');
  await ended;
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Fact);
};

/** The kernel drops deleted subvolumes after a commit, in its own time. */
const assertNoGroupsLeft = async (root: string): Promise<void> => {
  for (let waited = 0; waited < 240; waited += 1) {
    const fresh = await BtrfsPool.open(pool(root), logger);
    const left = await fresh.groups.sweep();
    await fresh.close();
    if (!left && groupNames(root).length === 1) break;
    await sleep(250);
  }
  assert.deepEqual(groupNames(root), ['0_5']);
};
