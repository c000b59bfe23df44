import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { completeResources } from '../model/default-resources.ts';
import { Journal } from './journal.ts';
import type { MachineRecord } from './machine/record.ts';
import { recordedGuarantees, recordedMachines } from './recorded.ts';

test('records of the first format are brought up to date: nothing changes for their machines', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-journal-'));
  try {
    const path = join(directory, 'journal.db');
    const resources = { cpuMillis: 100, cpuCeilingMillis: 500, memoryMib: 64, memoryCeilingMib: null, diskMib: 256, processes: 99 };
    const plain = { spec: { id: 'a', resources }, generation: 1 };
    const updating = { spec: { id: 'b', resources }, generation: 2, updating: { former: { id: 'b', resources: { ...resources, processes: 5 } } } };
    {
      using old = new DatabaseSync(path);
      old.exec(`CREATE TABLE machine (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
        CREATE TABLE tombstone (id TEXT PRIMARY KEY, generation INTEGER NOT NULL, at TEXT NOT NULL) STRICT;
        CREATE TABLE event (sequence INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT;
        PRAGMA user_version = 1;`);
      for (const record of [plain, updating]) old.prepare('INSERT INTO machine VALUES (?, ?)').run(record.spec.id, JSON.stringify(record));
    }
    const now = completeResources(resources);
    const expected = [
      { ...plain, spec: { id: 'a', resources: now } },
      { ...updating, spec: { id: 'b', resources: now }, updating: { former: { id: 'b', resources: { ...now, processes: 5 } } } },
    ];
    for (let round = 0; round < 2; round++) {
      await using journal = new Journal(path);
      assert.deepEqual(journal.loadMachines(), expected);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('what is on record is read beside a journal that is open', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-journal-'));
  try {
    const path = join(directory, 'journal.db');
    assert.deepEqual(recordedMachines(path), []);
    const resources = completeResources({ cpuMillis: 100, memoryMib: 64, memoryCeilingMib: 96, diskMib: 256 });
    const record = { spec: { id: 'a', name: 'web', resources }, generation: 1 } as MachineRecord;
    await using journal = new Journal(path);
    await journal.saveMachine(record);
    assert.deepEqual(recordedMachines(path), [{ id: 'a', name: 'web', resources }]);
    assert.equal(recordedGuarantees(path).memoryMib, 64);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
