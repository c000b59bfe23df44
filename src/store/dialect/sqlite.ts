/**
 * node:sqlite behind the interface that kysely's SQLite dialect wants. The class behind it is to be renamed, so it is named only here.
 * Two connections, so that who reads does not wait for a transaction's end; a statement's text is compiled once for each. The one that writes
 * syncs at each commit until the store is open; then the log is synced on the thread pool (base/wal-sync.ts).
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue } from 'node:sqlite';
import { Kysely, SqliteDialect, sql } from 'kysely';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { WalSync, walPragmas } from '../../base/wal-sync.ts';
import type { Schema } from '../schema.ts';
import { storeUnavailable } from './engine.ts';
import type { Engine, Snapshot } from './engine.ts';

const mostStatements = 500;
const nothingDone = { changes: 0, lastInsertRowid: 0 };

const openDatabase = (path: string, pragmas: string): DatabaseSync => {
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5000 });
  database.exec(`${walPragmas.open} pragma temp_store = memory; pragma cache_size = -16384; ${pragmas}`);
  return database;
};

const kyselyDatabase = (database: DatabaseSync): SqliteDatabase => {
  const statements = new Map<string, SqliteStatement>();
  const prepare = (text: string): SqliteStatement => {
    const known = statements.get(text);
    if (known !== undefined) return known;
    const statement = clearly(() => database.prepare(text));
    const made: SqliteStatement = {
      reader: statement.columns().length > 0,
      all: (parameters) => clearly(() => statement.all(...(parameters as SQLInputValue[]))),
      // SQLite ends a transaction by itself when the disk is full; to roll it back is then an error, which would hide the reason.
      run: (parameters) => (text === 'rollback' && !database.isTransaction ? nothingDone : clearly(() => statement.run(...(parameters as SQLInputValue[])))),
      iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
    };
    if (statements.size >= mostStatements) statements.clear();
    statements.set(text, made);
    return made;
  };
  return { prepare, close: () => database.close() };
};

/** SQLite's primary result codes for what may pass: busy, locked, read-only, input or output, corrupt, full, cannot open, no database. */
const passing: ReadonlySet<number> = new Set([5, 6, 8, 10, 11, 13, 14, 26]);

const clearly = <T>(work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Error) || !('errcode' in error) || !passing.has(Number(error.errcode) & 0xff)) throw error;
    // `errstr` is SQLite's general word for its error code: it names no table.
    throw storeUnavailable('errstr' in error ? String(error.errstr) : error.message, error);
  }
};

export const sqliteEngine = (path: string): Engine => {
  const through = (open: () => DatabaseSync) => new Kysely<Schema>({ dialect: new SqliteDialect({ database: async () => kyselyDatabase(open()) }) });
  let writing: DatabaseSync | undefined;
  const writer = through(() => {
    // Machines' environments hold secrets: the file, and what SQLite puts beside it with the same mode, are its owner's only. Before anyone has it
    // open: to close a descriptor of it would drop SQLite's locks.
    closeSync(openSync(path, 'a', 0o600));
    writing = openDatabase(path, '');
    return writing;
  });
  // Opened when it is first read from, after the writer.
  const reader = through(() => openDatabase(path, 'pragma query_only = on'));
  let wal: WalSync | undefined;
  return {
    shown: path,
    reader,
    writer,
    begin: () => Promise.resolve(),
    sync: async () => {
      if (wal === undefined) {
        // The log is there from the first write on. What was committed until now is synced already.
        wal = new WalSync(path, (text) => writing!.exec(text));
        writing!.exec(walPragmas.synced);
      }
      await wal.sync();
    },
    get mayCommit() {
      return wal?.mayCommit !== false;
    },
    snapshot: async () => takeSnapshot(path),
    continueAfter: async (transaction, table, sequence) => {
      await sql`delete from sqlite_sequence where name = ${table}`.execute(transaction);
      await sql`insert into sqlite_sequence (name, seq) values (${table}, ${sequence})`.execute(transaction);
    },
    [Symbol.asyncDispose]: async () => {
      await wal?.settled();
      await reader.destroy();
      await writer.destroy();
      wal?.[Symbol.dispose]();
    },
  };
};

/** On a connection of its own, so that it holds up nobody. */
const takeSnapshot = (path: string): Snapshot => {
  const copy = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  copy.exec('begin');
  // The moment is that of the first read.
  copy.prepare('select count(*) from sqlite_master').get();
  return {
    rows: async function* (table) {
      for (const row of copy.prepare(`select * from "${table}"`).iterate()) yield row as Record<string, string | number | null>;
    },
    [Symbol.asyncDispose]: async () => copy.close(),
  };
};
