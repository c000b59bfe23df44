/**
 * The power is cut at any moment of many lives: what was acknowledged is found, nothing is found by half, and the file is sound. The disk is the worst
 * that SQLite is made for: of what was not synced each sector may have been written, or not, in any order.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { random } from '../../test/support/random.ts';
import { seed } from '../../test/support/seed.ts';
import { WalSync, walPragmas } from './wal-sync.ts';

const lives = 12;
const steps = 80;
const sectorBytes = 512;
const logHeadBytes = 32;

type Below = (below: number) => number;

/** What is certainly on disk of each file. */
class Disk {
  readonly #certain = new Map<string, { content: Buffer; asOf: number }>();
  readonly #underWay: (() => void)[] = [];
  #moments = 0;

  /** A sync that began earlier takes nothing back. */
  write(path: string, content: Buffer, asOf = this.#moment()): void {
    if ((this.#certain.get(path)?.asOf ?? 0) < asOf) this.#certain.set(path, { content, asOf });
  }

  /** Until `finishOne` it is under way. What was written before it began is certain when it is over. */
  sync(fd: number): Promise<void> {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    const [content, asOf] = [readFileSync(path), this.#moment()];
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#underWay.push(() => {
      this.write(path, content, asOf);
      resolve();
    });
    return promise;
  }

  finishOne(below: Below): void {
    const [finish] = this.#underWay.splice(below(this.#underWay.length), 1);
    finish?.();
  }

  #moment(): number {
    this.#moments += 1;
    return this.#moments;
  }

  get isIdle(): boolean {
    return this.#underWay.length === 0;
  }

  /** What is found of a file when the power is back. */
  afterLoss(path: string, below: Below): Buffer {
    const { content: certain } = this.#certain.get(path)!;
    const written = readFileSync(path);
    const found = Buffer.alloc([certain, written][below(2)]!.length);
    const share = below(5);
    for (let at = 0; at < found.length; at += sectorBytes) {
      const source = below(4) < share ? written : certain;
      found.set(source.subarray(at, Math.min(at + sectorBytes, found.length)), at);
    }
    return found;
  }
}

/** All that the database holds, after each commit another. */
const stateOf = (database: DatabaseSync): string => JSON.stringify(database.prepare('SELECT work, filling FROM t ORDER BY rowid').all());

const live = async (directory: string, below: Below): Promise<{ losses: number; begunAnew: number }> => {
  const [path, log, copy] = ['a.db', 'a.db-wal', 'copy.db'].map((name) => join(directory, name)) as [string, string, string];
  const database = new DatabaseSync(path);
  database.exec(`${walPragmas.open} CREATE TABLE t (work INTEGER, filling TEXT) STRICT; CREATE INDEX by_filling ON t (filling);`);
  const disk = new Disk();
  for (const file of [path, log]) disk.write(file, readFileSync(file));
  const wal = new WalSync(path, (sql) => database.exec(sql), { mostPages: 12, sync: (fd) => disk.sync(fd) });
  database.exec(walPragmas.synced);
  const insert = database.prepare('INSERT INTO t VALUES (?, ?)');
  const change = database.prepare('UPDATE t SET filling = ? WHERE work = ?');
  const states = [stateOf(database)];
  let [committed, acknowledged, losses, begunAnew] = [0, 0, 0, 0];
  let syncing: Promise<void> | undefined;

  const commit = (): void => {
    const before = readFileSync(log);
    committed += 1;
    database.exec('BEGIN IMMEDIATE');
    for (let rows = 1 + below(4); rows > 0; rows -= 1) insert.run(committed, String(below(1e9)).repeat(1 + below(900)));
    change.run(String(below(1e9)), below(committed));
    database.exec('COMMIT');
    states.push(stateOf(database));
    const after = readFileSync(log);
    if (after.compare(before, 0, logHeadBytes, 0, logHeadBytes) === 0) return;
    // Where SQLite begins the log anew it syncs the new head by itself, before it writes over what follows; but not where syncs are off.
    assert.equal(database.prepare('PRAGMA synchronous').get()?.['synchronous'], 1);
    begunAnew += 1;
    after.copy(before, 0, 0, logHeadBytes);
    disk.write(log, before);
  };

  const loss = (): void => {
    losses += 1;
    writeFileSync(copy, disk.afterLoss(path, below));
    writeFileSync(`${copy}-wal`, disk.afterLoss(log, below));
    rmSync(`${copy}-shm`, { force: true });
    const found = new DatabaseSync(copy);
    const last = Number(found.prepare('SELECT max(work) AS last FROM t').get()?.['last'] ?? 0);
    assert.ok(last >= acknowledged, `${last} of ${acknowledged} acknowledged`);
    assert.equal(stateOf(found), states[last]);
    assert.equal(found.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
    found.close();
  };

  for (let step = 0; step < steps; step += 1) {
    const kind = below(8);
    if (kind < 3 && wal.mayCommit) commit();
    else if (kind < 5 && syncing === undefined) {
      const upTo = committed;
      syncing = wal.sync().then(() => {
        acknowledged = upTo;
        syncing = undefined;
      });
    } else disk.finishOne(below);
    await turn();
    if (below(2) === 0) loss();
  }
  while (syncing !== undefined || !disk.isIdle) {
    disk.finishOne(below);
    await turn();
  }
  await wal.settled();
  database.close();
  wal[Symbol.dispose]();
  return { losses, begunAnew };
};

test(`what was acknowledged survives a loss of power at any moment (seed ${seed})`, async () => {
  const total = { losses: 0, begunAnew: 0 };
  for (let one = 0; one < lives; one += 1) {
    const directory = mkdtempSync(join(tmpdir(), 'cenote-power-'));
    try {
      const { losses, begunAnew } = await live(directory, random(seed + one));
      total.losses += losses;
      total.begunAnew += begunAnew;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  assert.ok(total.losses > lives * 20 && total.begunAnew > lives, JSON.stringify(total));
});
