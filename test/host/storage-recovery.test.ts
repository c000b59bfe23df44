import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../src/exec/run.ts';
import { BtrfsPool } from '../../src/host/storage/btrfs-pool.ts';
import { destroyStorage, openStorage } from '../../src/host/storage/open.ts';
import { poolFileCreate } from '../../src/host/storage/pool-file.ts';
import { mountedAt, poolMount, poolUnmount } from '../../src/host/storage/pool-mount.ts';
import { subvolumeCreate } from '../../src/sys/btrfs.ts';
import { quotaEnableFull } from '../../src/sys/btrfs-quota.ts';
import { loopAttach, loopFind } from '../../src/sys/loop.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { logger, mib, poolMib, skip, newRoot, open, pool, poolFile, fill, groupNames, cleanUp, opened } from '../support/storage-pools.ts';

after(cleanUp);

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
  for (let waited = 0; loopFind(poolFile(root)) !== null && waited < 500; waited += 1) await sleep(20);
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
  const next = random(seed);
  for (let round = 0; round < 8; round += 1) {
    const facts = await runVictim(root, 30 + next(250));
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
      const parts = readdirSync(survivor.volumePath(id)).filter((name) => name !== 'inherited'); // of a copy
      assert.deepEqual(parts.toSorted(), ['empty', 'group', 'upper', 'work']);
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

test('what may be promised is less what trees hold; a copy has in its quota what it holds of others, to the last of a chain', { skip }, async () => {
  const root = newRoot();
  let one = await open(root);
  const empty = one.promisableMib;
  assert.ok(empty < poolMib && empty > poolMib * 0.8);
  const [tree, origin, copy] = [randomUUID(), randomUUID(), randomUUID()];
  fill(join(await one.treeStage('image', tree), 'data'), 10);
  await one.treeSeal('image', tree);
  const near = (mib: number, wanted: number): void => assert.ok(Math.abs(mib - wanted) <= 3, `${mib} is not ${wanted}`);
  near(empty - one.promisableMib, 10);
  await one.volumeCreate(origin, { quotaMib: 64 });
  fill(join(one.volumePath(origin), 'upper', 'data'), 20);
  await one.snapshotCreate(origin, 's');
  const small = one.volumeCreate(copy, { quotaMib: 20, from: { volume: origin, snapshot: 's' } });
  await assert.rejects(small, { code: 'not_enough', message: /a quota of 20M is too small: 2\dM are used/ });
  await one.volumeCreate(copy, { quotaMib: 64, from: { volume: origin, snapshot: 's' } });
  await one.volumeDelete(origin);
  near(empty - one.promisableMib, 10);
  near((await one.volumeUsage(copy)).usedMib, 20);
  assert.equal(fill(join(one.volumePath(copy), 'upper', 'more'), 48).code, 'EDQUOT');
  rmSync(join(one.volumePath(copy), 'upper', 'more'));
  fill(join(one.volumePath(copy), 'upper', 'more'), 30);
  await one.snapshotCreate(copy, 's');
  await one.close();
  one = await open(root);
  const last = randomUUID();
  near(empty - one.promisableMib, 10);
  assert.equal((await one.volumeUsage(copy)).quotaMib, 64);
  await one.volumeCreate(last, { quotaMib: 64, from: { volume: copy, snapshot: 's' } });
  await one.volumeDelete(copy);
  near((await one.volumeUsage(last)).usedMib, 51);
  assert.equal(fill(join(one.volumePath(last), 'upper', 'own'), 20).code, 'EDQUOT');
  await assert.rejects(one.volumeResize(last, 40), { code: 'not_enough' });
  await one.volumeResize(last, 128);
  rmSync(join(one.volumePath(last), 'upper', 'own'));
  fill(join(one.volumePath(last), 'upper', 'own'), 50);
  await one.treeDelete('image', tree);
  near(empty, one.promisableMib);
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
  for (let waited = 0; (await full.volumeUsage(copy)).usedMib < 30 && waited < 1200; waited += 1) await sleep(50);
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
