import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { shrinkMarginMib } from '../../src/host/storage/btrfs-volumes.ts';
import { destroyStorage } from '../../src/host/storage/open.ts';
import { snapshotContract, storageContract } from '../../src/host/storage/storage-contract.ts';
import type { Storage } from '../../src/host/storage/storage.ts';
import { subvolumeCreate } from '../../src/sys/btrfs.ts';
import { logger, mib, poolMib, skip, newRoot, open, pool, poolFile, fill, cleanUp } from '../support/storage-pools.ts';

const shared = skip === false ? newRoot() : '';
let storage: Storage;

before(async () => {
  if (skip === false) storage = await open(shared);
});
after(cleanUp);

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
  await assert.rejects(storage.volumeResize(id, 80), { code: 'not_enough', message: /9\dM are used/ });
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
  for (let index = 0; index < 150; index += 1) writeFileSync(join(storage.volumePath(id), 'upper', `small-${index}`), `${index}`);
  const before = (await storage.volumeUsage(id)).usedMib;
  assert.ok(before >= 20 && before < 22, `${before}`);
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

test('all that may be promised can be written, to the last quota', { skip }, async () => {
  const promised = await open(newRoot());
  const tree = randomUUID();
  fill(join(await promised.treeStage('image', tree), 'data'), 50);
  await promised.treeSeal('image', tree);
  const half = Math.floor(promised.promisableMib / 2);
  for (const id of [randomUUID(), randomUUID()]) {
    await promised.volumeCreate(id, { quotaMib: half });
    assert.equal(fill(join(promised.volumePath(id), 'upper', 'data'), poolMib).code, 'EDQUOT');
    await promised.commit();
  }
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
