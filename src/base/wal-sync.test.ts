import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { WalSync } from './wal-sync.ts';

test('what was committed before a sync is in the files, also after the log began anew', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-wal-'));
  try {
    const path = join(directory, 'a.db');
    const database = new DatabaseSync(path);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 5; CREATE TABLE t (n INTEGER) STRICT;');
    using wal = new WalSync(path);
    for (let n = 0; n < 100; n += 1) {
      database.exec(`INSERT INTO t VALUES (${n})`);
      await wal.sync();
    }
    // As a reader finds it who comes after the process was killed.
    const copy = join(directory, 'copy');
    for (const ending of ['', '-wal']) cpSync(`${path}${ending}`, `${copy}${ending}`);
    const found = new DatabaseSync(copy);
    assert.equal(found.prepare('SELECT count(*) AS count FROM t').get()?.['count'], 100);
    found.close();
    database.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('a database without a log is refused', () => {
  assert.throws(() => new WalSync(join(tmpdir(), 'cenote-no-such.db')), /ENOENT/);
});
