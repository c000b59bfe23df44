/** What every storage driver promises, as tests: each driver's own test file runs these against it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Storage } from './storage.ts';

const upper = (storage: Storage, id: string, ...names: string[]): string => join(storage.volumePath(id), 'upper', ...names);

export const storageContract = (driver: string, storage: () => Storage): void => {
  test(`${driver}: a volume is created, listed, measured and deleted, each as often as one likes`, async () => {
    const id = randomUUID();
    await storage().volumeCreate(id, { quotaMib: 64 });
    await writeFile(upper(storage(), id, 'file'), 'kept');
    await storage().volumeCreate(id, { quotaMib: 64 });
    assert.equal(await readFile(upper(storage(), id, 'file'), 'utf8'), 'kept');
    assert.deepEqual(await readdir(join(storage().volumePath(id), 'work')), []);
    assert.ok((await storage().volumeList()).includes(id));
    await storage().commit();
    assert.ok((await storage().volumeUsage(id)).usedMib < 2);
    await storage().volumeDelete(id);
    await storage().volumeDelete(id);
    assert.ok(!(await storage().volumeList()).includes(id));
    assert.ok(!existsSync(storage().volumePath(id)));
    await assert.rejects(storage().volumeUsage(id), { code: 'not_found' });
    await assert.rejects(storage().volumeResize(id, 64), { code: 'not_found' });
  });

  test(`${driver}: wrong names and numbers are refused`, async () => {
    const id = randomUUID();
    for (const name of ['..', '../x', 'a/b', '', 'x'.repeat(200), 'not-an-id']) {
      await assert.rejects(async () => storage().volumeCreate(name, { quotaMib: 64 }), { code: 'invalid_argument' });
      await assert.rejects(async () => storage().volumeDelete(name), { code: 'invalid_argument' });
    }
    for (const quotaMib of [0, -1, 0.5, 1, Number.NaN]) await assert.rejects(storage().volumeCreate(id, { quotaMib }), { code: 'invalid_argument' });
    for (const name of ['..', '../x', 'a/b', '', '.hidden', 'x'.repeat(200), 'a\0b'])
      await assert.rejects(async () => storage().treeStage('image', name), { code: 'invalid_argument' });
    assert.deepEqual(
      (await storage().volumeList()).filter((known) => known === id),
      [],
    );
  });

  test(`${driver}: a tree is there when it is sealed, and not before`, async () => {
    const id = randomUUID();
    const staged = await storage().treeStage('image', id);
    await writeFile(join(staged, 'half'), 'made');
    await storage().treeStage('image', id);
    assert.deepEqual(await readdir(staged), []);
    await mkdir(join(staged, 'usr'));
    assert.deepEqual(await storage().treeList('image'), []);
    await storage().treeSeal('image', id);
    await storage().treeSeal('image', id);
    assert.deepEqual(await storage().treeList('image'), [id]);
    assert.deepEqual(await storage().treeList('platform'), []);
    assert.deepEqual(await readdir(storage().treePath('image', id)), ['usr']);
    await storage().treeDelete('image', id);
    await storage().treeDelete('image', id);
    assert.deepEqual(await storage().treeList('image'), []);
    await assert.rejects(storage().treeSeal('image', id), { code: 'not_found' });
  });
};

export const snapshotContract = (driver: string, storage: () => Storage): void => {
  const prepared = async (): Promise<string> => {
    const id = randomUUID();
    await storage().volumeCreate(id, { quotaMib: 64 });
    await writeFile(upper(storage(), id, 'file'), 'first');
    await mkdir(join(storage().volumePath(id), 'work', 'work', 'left'), { recursive: true });
    await storage().snapshotCreate(id, 's1');
    await writeFile(upper(storage(), id, 'file'), 'second');
    await writeFile(upper(storage(), id, 'new'), 'x');
    return id;
  };

  test(`${driver}: rollback brings the snapshot's content back and keeps the snapshot`, async () => {
    const id = await prepared();
    await storage().snapshotRollback(id, 's1');
    assert.deepEqual(await readdir(upper(storage(), id)), ['file']);
    assert.equal(await readFile(upper(storage(), id, 'file'), 'utf8'), 'first');
    assert.deepEqual(await readdir(join(storage().volumePath(id), 'work')), []);
    assert.equal((await storage().volumeUsage(id)).quotaMib, 64);
    assert.deepEqual(
      (await storage().snapshotList(id)).map(({ name }) => name),
      ['s1'],
    );
    await storage().snapshotRollback(id, 's1');
    await storage().volumeDelete(id);
    assert.ok(!(await storage().volumeList()).includes(id));
    assert.deepEqual(await storage().snapshotList(id), []);
  });

  test(`${driver}: a copy of a snapshot lives on its own, also without its origin`, async () => {
    const origin = await prepared();
    const copy = randomUUID();
    await storage().volumeCreate(copy, { quotaMib: 128, from: { volume: origin, snapshot: 's1' } });
    await storage().volumeDelete(origin);
    assert.equal(await readFile(upper(storage(), copy, 'file'), 'utf8'), 'first');
    assert.deepEqual(await readdir(join(storage().volumePath(copy), 'work')), []);
    assert.equal((await storage().volumeUsage(copy)).quotaMib, 128);
    await writeFile(upper(storage(), copy, 'file'), 'own');
    await storage().volumeDelete(copy);
  });

  test(`${driver}: snapshots are listed oldest first, and deleted`, async () => {
    const id = await prepared();
    await storage().snapshotCreate(id, 's0');
    await storage().snapshotCreate(id, 's0');
    assert.deepEqual(
      (await storage().snapshotList(id)).map(({ name }) => name),
      ['s1', 's0'],
    );
    await storage().snapshotDelete(id, 's1');
    await storage().snapshotDelete(id, 's1');
    assert.deepEqual(
      (await storage().snapshotList(id)).map(({ name }) => name),
      ['s0'],
    );
    await storage().volumeDelete(id);
  });

  test(`${driver}: what is not there is not_found, and a wrong snapshot name refused`, async () => {
    const id = await prepared();
    await assert.rejects(storage().snapshotRollback(id, 'none'), { code: 'not_found' });
    await assert.rejects(storage().snapshotCreate(randomUUID(), 's'), { code: 'not_found' });
    await assert.rejects(storage().volumeCreate(randomUUID(), { quotaMib: 64, from: { volume: id, snapshot: 'none' } }), { code: 'not_found' });
    for (const name of ['..', '.', 'a/b', '', 'x'.repeat(65)]) await assert.rejects(storage().snapshotCreate(id, name), { code: 'invalid_argument' });
    await storage().volumeDelete(id);
  });
};
