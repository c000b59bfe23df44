import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import { DirectoryStorage } from './directory.ts';
import { storageContract } from './storage-contract.ts';

const root = mkdtempSync(join(tmpdir(), 'cenote-directory-storage-'));
const logger = createLogger({ name: 'test', level: 'silent' });
let storage: DirectoryStorage;
before(async () => {
  storage = await DirectoryStorage.open(root, undefined, logger);
});
after(async () => {
  await storage.close();
  rmSync(root, { recursive: true, force: true });
});

storageContract('directory', () => storage);

test('directory: usage counts blocks', async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  await writeFile(join(storage.volumePath(id), 'upper', 'file'), Buffer.alloc(3 * 1024 * 1024, 1));
  await storage.commit();
  const { usedMib, quotaMib } = await storage.volumeUsage(id);
  assert.ok(usedMib >= 3 && usedMib < 4, `${usedMib}`);
  assert.equal(quotaMib, null);
});

test('directory: what it lacks is refused and named', async () => {
  const id = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  await assert.rejects(storage.volumeResize(id), { code: 'unsupported', message: /quotas/ });
  await assert.rejects(storage.snapshotCreate(), { code: 'unsupported', message: /snapshots/ });
  await assert.rejects(storage.volumeCreate(randomUUID(), { quotaMib: 64, from: { volume: id, snapshot: 's' } }), { code: 'unsupported' });
  assert.equal(storage.features.quota, 'none');
  assert.ok(storage.features.lacks.length > 0);
});
