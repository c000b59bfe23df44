/**
 * The control plane's store: opens it, brings its schema up to date, gives transactions. Queries are in the file of their resource, as
 * functions `resourceVerb(context, db, …)` that authorise on their first line; `db` may be the store's or a transaction's.
 */
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Transaction } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import { accountEnsure } from './account.ts';
import { defaultAccount, systemContext } from './context.ts';
import { first } from './migrations/0001-first.ts';
import type { Schema } from './schema.ts';
import { openSqlite } from './sqlite.ts';

export type Db = Kysely<Schema>;

const migrations = { '0001-first': first };

export class Store implements AsyncDisposable {
  readonly db: Db;

  private constructor(db: Db) {
    this.db = db;
  }

  static async open(path: string): Promise<Store> {
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: async () => openSqlite(path) }) });
    const { error } = await new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } }).migrateToLatest();
    if (error !== undefined) {
      await db.destroy();
      throw new CenoteError('failed', `the store ${path} cannot be opened or brought up to date`, { cause: error });
    }
    await accountEnsure(systemContext, db, defaultAccount);
    return new Store(db);
  }

  /** All or nothing, and on disk when it resolves. */
  transaction<T>(work: (transaction: Transaction<Schema>) => Promise<T>): Promise<T> {
    return this.db.transaction().execute(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db.destroy();
  }
}
