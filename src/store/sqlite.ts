/**
 * node:sqlite behind the interface that kysely's SQLite dialect wants. The class behind it is to be renamed, so it is named only here.
 * One connection; a statement's text is compiled once. It syncs at each commit until the store, which syncs by itself, says otherwise.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

const mostStatements = 500;
const nothingDone = { changes: 0, lastInsertRowid: 0 };

export const openSqlite = (path: string): SqliteDatabase => {
  // Machines' environments hold secrets: the file, and what SQLite puts beside it with the same mode, are its owner's only.
  closeSync(openSync(path, 'a', 0o600));
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5000 });
  database.exec(
    'pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000; pragma temp_store = memory; pragma cache_size = -65536',
  );
  const statements = new Map<string, SqliteStatement>();
  const prepare = (sql: string): SqliteStatement => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    const made: SqliteStatement = {
      reader: statement.columns().length > 0,
      all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
      // SQLite ends a transaction by itself when the disk is full; to roll it back is then an error, which would hide the reason.
      run: (parameters) => (sql === 'rollback' && !database.isTransaction ? nothingDone : statement.run(...(parameters as SQLInputValue[]))),
      iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
    };
    if (statements.size >= mostStatements) statements.clear();
    statements.set(sql, made);
    return made;
  };
  return { prepare, close: () => database.close() };
};
