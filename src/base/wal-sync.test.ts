import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { WalSync, walPragmas } from './wal-sync.ts';

/** The `WalSync` that `work` gives ends as everywhere: no sync is under way, and the database is closed before it. */
const withDatabase = async (work: (path: string, database: DatabaseSync) => Promise<WalSync>): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-wal-'));
  try {
    const path = join(directory, 'a.db');
    const database = new DatabaseSync(path);
    const wal = await work(path, database);
    await wal.settled();
    database.close();
    wal[Symbol.dispose]();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

test('what was committed before a sync is in the files, also after the log began anew', () =>
  withDatabase(async (path, database) => {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 5; CREATE TABLE t (n INTEGER) STRICT;');
    const wal = new WalSync(path, (sql) => database.exec(sql));
    for (let n = 0; n < 100; n += 1) {
      database.exec(`INSERT INTO t VALUES (${n})`);
      await wal.sync();
    }
    // As a reader finds it who comes after the process was killed.
    const copy = `${path}.copy`;
    for (const ending of ['', '-wal']) cpSync(`${path}${ending}`, `${copy}${ending}`);
    const found = new DatabaseSync(copy);
    assert.equal(found.prepare('SELECT count(*) AS count FROM t').get()?.['count'], 100);
    found.close();
    return wal;
  }));

test('the log begins anew after a while, and what was in it is in the database', () =>
  withDatabase(async (path, database) => {
    database.exec(`${walPragmas.open} ${walPragmas.synced} CREATE TABLE t (text TEXT) STRICT;`);
    const wal = new WalSync(path, (sql) => database.exec(sql));
    const insert = database.prepare('INSERT INTO t VALUES (?)');
    const rows = 15_000;
    for (let n = 0; n < rows; n += 1) {
      insert.run('x'.repeat(8000));
      await wal.sync();
    }
    const written = rows * 8000;
    assert.ok(statSync(`${path}-wal`).size < written / 2, `${statSync(`${path}-wal`).size} bytes of log after ${written}`);
    assert.ok(statSync(path).size > written / 2);
    assert.equal(database.prepare('SELECT count(*) AS count FROM t').get()?.['count'], rows);
    return wal;
  }));

test('nothing is committed between the sync before a checkpoint and the checkpoint', () =>
  withDatabase(async (path, database) => {
    database.exec(`${walPragmas.open} ${walPragmas.synced} CREATE TABLE t (n INTEGER) STRICT;`);
    database.exec('ALTER TABLE t ADD COLUMN text TEXT');
    const insert = database.prepare('INSERT INTO t VALUES (?, ?)');
    let checkpoints = 0;
    const wal = new WalSync(path, (sql) => {
      assert.ok(!wal.mayCommit);
      checkpoints += 1;
      database.exec(sql);
    });
    // Each is some 330 pages.
    for (let n = 0; n < 25; n += 1) {
      insert.run(n, 'x'.repeat(1_320_000));
      const before = checkpoints;
      const syncing = wal.sync();
      const { mayCommit } = wal;
      await syncing;
      assert.equal(checkpoints > before, !mayCommit, `sync ${n}`);
      assert.ok(wal.mayCommit);
    }
    assert.equal(checkpoints, 3);
    return wal;
  }));

test('what is committed while the database is synced goes to the end of the log, which begins anew only after that', () =>
  withDatabase(async (path, database) => {
    database.exec(`${walPragmas.open} ${walPragmas.synced} CREATE TABLE t (text TEXT) STRICT;`);
    const insert = database.prepare('INSERT INTO t VALUES (?)');
    const synced = Promise.withResolvers<void>();
    let log: number | undefined;
    const sync = (fd: number) => {
      log ??= fd;
      return fd === log ? Promise.resolve() : synced.promise;
    };
    const wal = new WalSync(path, (sql) => database.exec(sql), { sync });
    /** SQLite writes other salts there when it begins anew. */
    const head = () => readFileSync(`${path}-wal`).subarray(0, 32).toString('hex');
    const commit = async (bytes: number): Promise<void> => {
      insert.run('x'.repeat(bytes));
      await wal.sync();
    };
    const before = head();
    await commit(14_000_000);
    const { buffer } = new Uint8Array(readFileSync(`${path}-shm`));
    const index = new Uint32Array(buffer);
    assert.equal(index[24], index[4], 'the checkpoint has written all of it to the database');
    const { size } = statSync(`${path}-wal`);
    for (let n = 0; n < 20; n += 1) await commit(8000);
    assert.ok(wal.mayCommit);
    assert.equal(head(), before);
    assert.ok(statSync(`${path}-wal`).size > size);
    // Were the power lost now, all of it would be found by the log alone.
    const copy = `${path}.copy`;
    for (const ending of ['', '-wal']) cpSync(`${path}${ending}`, `${copy}${ending}`);
    const found = new DatabaseSync(copy);
    assert.equal(found.prepare('SELECT count(*) AS count FROM t').get()?.['count'], 21);
    found.close();
    let isSettled = false;
    const settled = wal.settled().then(() => (isSettled = true));
    await commit(8000);
    assert.ok(!isSettled);
    synced.resolve();
    await settled;
    await commit(14_000_000);
    await wal.settled();
    await commit(8000);
    assert.notEqual(head(), before);
    return wal;
  }));

test('the log stays short however much is committed between two syncs', () =>
  withDatabase(async (path, database) => {
    database.exec(`${walPragmas.open} ${walPragmas.synced} CREATE TABLE t (text TEXT) STRICT;`);
    let checkpoints = 0;
    const wal = new WalSync(path, (sql) => {
      checkpoints += 1;
      database.exec(sql);
    });
    const insert = database.prepare('INSERT INTO t VALUES (?)');
    const write = async (rows: number): Promise<void> => {
      for (let row = 0; row < rows; row += 1) insert.run('x'.repeat(3_000_000));
      await wal.sync();
    };
    for (let n = 0; n < 90; n += 1) await write(1);
    await wal.settled();
    const pages = () => statSync(`${path}-wal`).size / 4120;
    assert.ok(pages() < 12_000, `${pages()} pages of log`);
    // Who reads what was keeps it in the log; there is a checkpoint for each two thousand pages, and not for each sync.
    const reader = new DatabaseSync(path, { readOnly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM t').get();
    const before = checkpoints;
    for (let n = 0; n < 20; n += 1) await write(1);
    assert.ok(checkpoints - before <= 8, `${checkpoints - before} checkpoints`);
    reader.close();
    for (let n = 0; n < 20; n += 1) await write(1);
    assert.ok(pages() < 30_000, `${pages()} pages of log`);
    return wal;
  }));

test('what a sync of the log could not write is written once more, for the next', () =>
  withDatabase(async (path, database) => {
    database.exec(`${walPragmas.open} ${walPragmas.synced} CREATE TABLE t (text TEXT) STRICT;`);
    let fails = true;
    const wal = new WalSync(path, (sql) => database.exec(sql), { sync: () => (fails ? Promise.reject(new Error('EIO')) : Promise.resolve()) });
    database.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(3_000_000));
    const log = `${path}-wal`;
    const written = readFileSync(log);
    utimesSync(log, 1, 1);
    await assert.rejects(wal.sync(), /EIO/);
    assert.ok(statSync(log).mtimeMs > 1000);
    assert.ok(readFileSync(log).equals(written));
    fails = false;
    await wal.sync();
    return wal;
  }));

test('a database without a log is refused', () => {
  assert.throws(() => new WalSync(join(tmpdir(), 'cenote-no-such.db'), () => {}), /ENOENT/);
});
