import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { FakeStorage } from './fake.ts';
import { snapshotContract, storageContract } from './storage-contract.ts';

const root = mkdtempSync(join(tmpdir(), 'cenote-fake-storage-'));
let storage: FakeStorage;
before(async () => {
  storage = await FakeStorage.open(root);
});
after(() => rmSync(root, { recursive: true, force: true }));

storageContract('fake', () => storage);
snapshotContract('fake', () => storage);
