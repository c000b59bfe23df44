import type { Engine } from './engine.ts';
import { isPostgresUrl, postgresEngine } from './postgres.ts';
import { sqliteEngine } from './sqlite.ts';

/** `database`: the path of an SQLite file, or the URL of a PostgreSQL database. */
export const openEngine = (database: string): Engine => (isPostgresUrl(database) ? postgresEngine(database) : sqliteEngine(database));
