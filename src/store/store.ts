/**
 * The control plane's store: opens it, brings its schema up to date, gives transactions. Queries are in the file of their resource, as
 * functions `resourceVerb(context, db, …)` that authorise on their first line; `db` may be the store's or a transaction's.
 */
import { Kysely, SqliteDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { CenoteError } from '../base/errors.ts';
import { WalSync } from '../base/wal-sync.ts';
import { accountEnsure } from './account.ts';
import { defaultAccount, systemContext } from './context.ts';
import { GroupCommit } from './group-commit.ts';
import type { Work } from './group-commit.ts';
import { first } from './migrations/0001-first.ts';
import { pool } from './migrations/0002-pool.ts';
import { accounts } from './migrations/0003-accounts.ts';
import { firewall } from './migrations/0004-firewall.ts';
import type { Schema } from './schema.ts';
import { openSqlite } from './sqlite.ts';

export type Db = Kysely<Schema>;

const migrations = { '0001-first': first, '0002-pool': pool, '0003-accounts': accounts, '0004-firewall': firewall };

export class Store implements AsyncDisposable {
  readonly db: Db;
  readonly #wal: WalSync;
  readonly #commits: GroupCommit;

  private constructor(db: Db, wal: WalSync) {
    this.db = db;
    this.#wal = wal;
    this.#commits = new GroupCommit(db, wal);
  }

  static async open(path: string): Promise<Store> {
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: async () => openSqlite(path) }) });
    const { error } = await new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } }).migrateToLatest();
    if (error !== undefined) {
      await db.destroy();
      throw new CenoteError('failed', `the store ${path} cannot be opened or brought up to date`, { cause: error });
    }
    await accountEnsure(systemContext, db, defaultAccount);
    const wal = new WalSync(path);
    await sql`pragma synchronous = normal`.execute(db);
    return new Store(db, wal);
  }

  /** All or nothing, and on disk when it resolves. */
  transaction<T>(work: Work<T>): Promise<T> {
    return this.#commits.add(work, true);
  }

  /**
   * All or nothing, and on disk with the next transaction, or soon: for what would be found out again if the host lost power now, such as what
   * an agent reported or a job whose repetition gives the same outcome. A killed process loses none of it.
   */
  transactionRepeatable<T>(work: Work<T>): Promise<T> {
    return this.#commits.add(work, false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wal[Symbol.dispose]();
    await this.db.destroy();
  }
}
