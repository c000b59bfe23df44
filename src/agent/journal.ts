/**
 * The agent's memory on disk: machine records, their banks of bursting, tombstones and the last events, in SQLite with every commit synced, on the thread pool
 * (base/wal-sync.ts). Saves that come in the same turn of the event loop, or while a sync is under way, share one commit (group
 * commit), so that a burst of starts costs one sync and not one each. What is only noted is committed with the turn and waits for no sync:
 * whoever comes after this process finds it; after a power loss it may be missing.
 */
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { WalSync, walPragmas } from '../base/wal-sync.ts';
import { noCrash } from '../base/crash-point.ts';
import type { CrashPoints } from '../base/crash-point.ts';
import type { Event } from '../model/event.ts';
import type { KeptBank } from './governor/cpu-bank.ts';
import type { FloatingState, NetworkDefinition } from '../model/network.ts';
import type { AppliedRule } from '../model/firewall/wire.ts';
import type { NamesTold } from '../model/names-api.ts';
import type { MachineRecord } from './machine/record.ts';

const keptEvents = 10_000;
const tombstoneDays = 30;

/** Each entry brings the file from its index to the next version; never edited once released. */
const migrations = [
  `CREATE TABLE machine (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
   CREATE TABLE tombstone (id TEXT PRIMARY KEY, generation INTEGER NOT NULL, at TEXT NOT NULL) STRICT;
   CREATE TABLE event (sequence INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT;`,
  // Records from before these resources existed get the values that change nothing; json_insert leaves what there is.
  ['$.spec', '$.updating.former']
    .map(
      (spec) => `UPDATE machine SET record = json_insert(record,
        '${spec}.resources.burst', NULL, '${spec}.resources.ioWeight', 100,
        '${spec}.resources.ioReadMibps', NULL, '${spec}.resources.ioWriteMibps', NULL,
        '${spec}.resources.ioReadIops', NULL, '${spec}.resources.ioWriteIops', NULL,
        '${spec}.resources.networkMbps', 0, '${spec}.resources.networkCeilingMbps', NULL)
        WHERE json_type(record, '${spec}.resources') = 'object';`,
    )
    .join('\n'),
  'CREATE TABLE firewall_rule (id TEXT PRIMARY KEY, rule TEXT NOT NULL) STRICT;',
  'CREATE TABLE bank (machine TEXT PRIMARY KEY, bank TEXT NOT NULL) STRICT;',
  'CREATE TABLE told (what TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;',
  'CREATE TABLE network (id TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;',
  'CREATE TABLE floating (address TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;',
];

type Write = () => void;

interface Batch {
  writes: Write[];
  /** Somebody waits for it to be written, not for its sync. */
  noted: boolean;
  written: PromiseWithResolvers<void>;
  durable: PromiseWithResolvers<void>;
}

const newBatch = (): Batch => {
  const batch: Batch = { writes: [], noted: false, written: Promise.withResolvers(), durable: Promise.withResolvers() };
  // A failure nobody waits for must not end the process.
  for (const { promise } of [batch.written, batch.durable]) promise.catch(() => {});
  return batch;
};

export class Journal implements AsyncDisposable {
  readonly #database: DatabaseSync;
  readonly #crash: CrashPoints;
  readonly #statements;
  readonly #wal: WalSync;
  #pending: Batch | null = null;
  /** Written, and to be synced. */
  #unsynced: Batch[] = [];
  #syncing: Promise<void> | null = null;
  #turn: Promise<void> | null = null;

  constructor(path: string, crash = noCrash) {
    this.#crash = crash;
    this.#database = new DatabaseSync(path);
    this.#database.exec(walPragmas.open);
    this.#migrate();
    const prepare = (sql: string) => this.#database.prepare(sql);
    this.#statements = {
      save: prepare('INSERT INTO machine (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record'),
      remove: prepare('DELETE FROM machine WHERE id = ?'),
      saveBank: prepare('INSERT OR REPLACE INTO bank (machine, bank) VALUES (?, ?)'),
      removeBank: prepare('DELETE FROM bank WHERE machine = ?'),
      bury: prepare('INSERT OR REPLACE INTO tombstone (id, generation, at) VALUES (?, ?, ?)'),
      buried: prepare('SELECT generation FROM tombstone WHERE id = ?'),
      event: prepare('INSERT INTO event (sequence, event) VALUES (?, ?)'),
      forgetEvents: prepare('DELETE FROM event WHERE sequence <= ?'),
      saveRule: prepare('INSERT INTO firewall_rule (id, rule) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET rule = excluded.rule'),
      removeRule: prepare('DELETE FROM firewall_rule WHERE id = ?'),
      saveTold: prepare('INSERT OR REPLACE INTO told (what, value) VALUES (?, ?)'),
      saveNetwork: prepare('INSERT INTO network (id, definition) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET definition = excluded.definition'),
      saveFloating: prepare('INSERT OR REPLACE INTO floating (address, state) VALUES (?, ?)'),
      removeNetwork: prepare('DELETE FROM network WHERE id = ?'),
      events: prepare('SELECT event FROM event WHERE sequence > ? ORDER BY sequence'),
    };
    this.#database.prepare('DELETE FROM tombstone WHERE at < ?').run(new Date(Date.now() - tombstoneDays * 86_400_000).toISOString());
    this.#wal = new WalSync(path, (sql) => this.#database.exec(sql));
    this.#database.exec(walPragmas.synced);
  }

  loadMachines(): MachineRecord[] {
    return this.#database
      .prepare('SELECT record FROM machine')
      .all()
      .map((row) => JSON.parse(row['record'] as string) as MachineRecord);
  }

  loadFirewallRules(): AppliedRule[] {
    return this.#database
      .prepare('SELECT rule FROM firewall_rule')
      .all()
      .map((row) => JSON.parse(row['rule'] as string) as AppliedRule);
  }

  changeFirewallRules(put: readonly AppliedRule[], remove: readonly string[]): Promise<void> {
    return this.#write(() => {
      for (const id of remove) this.#statements.removeRule.run(id);
      for (const rule of put) this.#statements.saveRule.run(rule.id, JSON.stringify(rule));
    });
  }

  loadNetworks(): NetworkDefinition[] {
    return this.#database
      .prepare('SELECT definition FROM network')
      .all()
      .map((row) => JSON.parse(row['definition'] as string) as NetworkDefinition);
  }

  changeNetworks(put: readonly NetworkDefinition[], remove: readonly string[]): Promise<void> {
    return this.#write(() => {
      for (const id of remove) this.#statements.removeNetwork.run(id);
      for (const definition of put) this.#statements.saveNetwork.run(definition.id, JSON.stringify(definition));
    });
  }

  loadFloating(): FloatingState[] {
    return this.#database
      .prepare('SELECT state FROM floating')
      .all()
      .map((row) => JSON.parse(row['state'] as string) as FloatingState);
  }

  saveFloating(state: FloatingState): Promise<void> {
    return this.#write(() => this.#statements.saveFloating.run(state.address, JSON.stringify(state)));
  }

  /** Nothing was ever written here: it is a first start, or a journal that was lost. */
  isEmpty(): boolean {
    return this.#database.prepare('SELECT 1 FROM machine UNION ALL SELECT 1 FROM tombstone UNION ALL SELECT 1 FROM event LIMIT 1').get() === undefined;
  }

  /** The generation at which a machine was deleted, if it was. */
  tombstone(id: string): number | null {
    const row = this.#statements.buried.get(id);
    return row === undefined ? null : (row['generation'] as number);
  }

  eventsAfter(sequence: number): Event[] {
    return this.#statements.events.all(sequence).map((row) => JSON.parse(row['event'] as string) as Event);
  }

  lastSequence(): number {
    return Number(this.#database.prepare('SELECT max(sequence) AS last FROM event').get()?.['last'] ?? 0);
  }

  /** The record as it is at this moment; resolves when it is durable. */
  saveMachine(record: MachineRecord): Promise<void> {
    return this.#write(this.#saving(record));
  }

  /** The same; resolves when the next process would find it. */
  noteMachine(record: MachineRecord): Promise<void> {
    return this.#note(this.#saving(record));
  }

  #saving(record: MachineRecord): Write {
    const text = JSON.stringify(record);
    return () => this.#statements.save.run(record.spec.id, text);
  }

  buryMachine(id: string, generation: number): Promise<void> {
    return this.#write(() => {
      this.#statements.remove.run(id);
      this.#statements.removeBank.run(id);
      this.#statements.bury.run(id, generation, new Date().toISOString());
    });
  }

  appendEvent(event: Event): Promise<void> {
    return this.#write(() => {
      this.#statements.event.run(event.sequence, JSON.stringify(event));
      // In steps, so that most appends delete nothing.
      if (event.sequence % 1000 === 0) this.#statements.forgetEvents.run(event.sequence - keptEvents);
    });
  }

  /** What the control plane last said of names. */
  loadNames(): NamesTold | null {
    const row = this.#database.prepare("SELECT value FROM told WHERE what = 'names'").get();
    return row === undefined ? null : (JSON.parse(row['value'] as string) as NamesTold);
  }

  saveNames(told: NamesTold): Promise<void> {
    const text = JSON.stringify(told);
    return this.#write(() => this.#statements.saveTold.run('names', text));
  }

  loadBanks(): Map<string, KeptBank> {
    const rows = this.#database.prepare('SELECT machine, bank FROM bank').all();
    return new Map(rows.map((row) => [row['machine'] as string, JSON.parse(row['bank'] as string) as KeptBank]));
  }

  saveBanks(banks: ReadonlyMap<string, KeptBank>): Promise<void> {
    const texts = [...banks].map(([machine, bank]): [string, string] => [machine, JSON.stringify(bank)]);
    return this.#write(() => {
      for (const [machine, text] of texts) this.#statements.saveBank.run(machine, text);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    do {
      for (let rest = this.#turn ?? this.#syncing; rest !== null; rest = this.#turn ?? this.#syncing) await rest;
      await this.#wal.settled();
    } while (this.#turn !== null || this.#syncing !== null);
    this.#database.close();
    this.#wal[Symbol.dispose]();
  }

  #write(write: Write): Promise<void> {
    const { durable } = this.#add(write);
    if (this.#syncing === null) this.#turn ??= this.#turnsEnd();
    return durable.promise;
  }

  #note(write: Write): Promise<void> {
    const batch = this.#add(write);
    batch.noted = true;
    this.#turn ??= this.#turnsEnd();
    return batch.written.promise;
  }

  #add(write: Write): Batch {
    this.#pending ??= newBatch();
    this.#pending.writes.push(write);
    return this.#pending;
  }

  /** What is saved in one turn of the event loop is one commit. */
  async #turnsEnd(): Promise<void> {
    await turn();
    this.#turn = null;
    this.#flush();
  }

  #flush(): void {
    const batch = this.#pending;
    if (batch !== null && (this.#syncing === null || (batch.noted && this.#wal.mayCommit))) {
      this.#pending = null;
      try {
        this.#commit(batch);
        batch.written.resolve();
        this.#unsynced.push(batch);
      } catch (error) {
        batch.written.reject(error);
        batch.durable.reject(error);
      }
    }
    if (this.#syncing === null && this.#unsynced.length > 0) this.#syncing = this.#sync();
  }

  async #sync(): Promise<void> {
    const batches = this.#unsynced.splice(0);
    try {
      await this.#wal.sync();
      for (const { durable } of batches) durable.resolve();
    } catch (error) {
      for (const { durable } of batches) durable.reject(error);
    }
    this.#syncing = null;
    this.#flush();
  }

  #commit({ writes }: Batch): void {
    try {
      this.#crash.reach('journal: before a commit');
      this.#database.exec('BEGIN IMMEDIATE');
      for (const write of writes) write();
      this.#database.exec('COMMIT');
      this.#crash.reach('journal: after a commit');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #migrate(): void {
    const version = Number(this.#database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
    for (const [index, sql] of migrations.entries()) {
      if (index >= version) this.#database.exec(`BEGIN; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
    }
  }
}
