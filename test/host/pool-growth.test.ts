import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openStorage } from '../../src/host/storage/open.ts';
import { fill, cleanUp, logger, mib, newRoot, open, opened, poolFile, poolMib, skip } from '../support/storage-pools.ts';

after(cleanUp);

const reopened = async (root: string, sizeMib: number) => {
  const storage = await openStorage({ root, driver: 'btrfs', sizeMib, logger });
  opened.push(storage);
  return storage;
};

const grownMib = poolMib + 512;

test('a pool grows to the size asked for while it is mounted and a machine writes', { skip }, async () => {
  const root = newRoot();
  const before = await open(root);
  const id = randomUUID();
  await before.volumeCreate(id, { quotaMib: 1024 });
  const file = join(before.volumePath(id), 'upper', 'data');
  assert.equal(fill(file, 64).code, '');
  const { promisableMib } = before;
  await before.close();
  const storage = await reopened(root, grownMib);
  assert.equal((await storage.capacity()).totalMib, grownMib);
  assert.ok(storage.promisableMib > promisableMib + 400, `${storage.promisableMib} MiB after ${promisableMib}`);
  const { size, blocks } = statSync(poolFile(root));
  assert.equal(size, grownMib * mib);
  assert.ok(blocks * 512 >= size, 'every block is allocated');
  const more = fill(file, 2000).mib;
  assert.ok(more > poolMib - 64, `${more} MiB more went in`);
});

test('what a crash left between the file and the file system is finished', { skip }, async () => {
  const root = newRoot();
  await (await open(root)).close();
  truncateSync(poolFile(root), grownMib * mib);
  const storage = await reopened(root, grownMib);
  assert.equal((await storage.capacity()).totalMib, grownMib);
  assert.ok(statSync(poolFile(root)).blocks * 512 >= grownMib * mib, 'every block is allocated');
});

test('where the disk has no room the pool stays as it is, and is served', { skip }, async () => {
  const root = newRoot();
  await (await open(root)).close();
  const storage = await reopened(root, 1 << 30);
  assert.equal((await storage.capacity()).totalMib, poolMib);
  assert.equal(statSync(poolFile(root)).size, poolMib * mib);
  assert.deepEqual(await storage.volumeList(), []);
});
