/**
 * The control plane's store: opens it, brings its schema up to date, gives transactions. Queries are in the file of their resource, as
 * functions `resourceVerb(context, db, …)` that authorise on their first line; `db` may be the store's, to read, or a transaction's.
 */
import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { CenoteError } from '../base/errors.ts';
import { accountEnsure } from './account.ts';
import { dump } from './backup/dump.ts';
import type { Copy, Rows } from './backup/format.ts';
import { restore } from './backup/restore.ts';
import type { Restored } from './backup/restore.ts';
import { defaultAccount, systemContext } from './context.ts';
import type { Engine } from './dialect/engine.ts';
import { openEngine } from './dialect/open.ts';
import { GroupCommit } from './group-commit.ts';
import type { Work } from './group-commit.ts';
import { first } from './migrations/0001-first.ts';
import { pool } from './migrations/0002-pool.ts';
import { accounts } from './migrations/0003-accounts.ts';
import { firewall } from './migrations/0004-firewall.ts';
import { tenants } from './migrations/0006-tenants.ts';
import { images } from './migrations/0007-images.ts';
import { access } from './migrations/0008-access.ts';
import { firewallWeight } from './migrations/0009-firewall-weight.ts';
import { names } from './migrations/0010-names.ts';
import { disabledAccounts } from './migrations/0014-disabled-accounts.ts';
import { tokens } from './migrations/0015-tokens.ts';
import { networks } from './migrations/0016-networks.ts';
import { sharedNetworks } from './migrations/0017-shared-networks.ts';
import { networkRoutes } from './migrations/0018-network-routes.ts';
import { floatingAddresses } from './migrations/0019-floating-addresses.ts';
import { setAside } from './migrations/0021-set-aside.ts';
import { floatingShown } from './migrations/0022-floating-shown.ts';
import { wires } from './migrations/0023-wires.ts';
import { accessKeys } from './migrations/0024-access-keys.ts';
import { unfinishedByMachine } from './migrations/0025-unfinished-by-machine.ts';
import type { Schema } from './schema.ts';
import { Written } from './written.ts';

export type Db = Kysely<Schema>;

const migrations = {
  '0001-first': first,
  '0002-pool': pool,
  '0003-accounts': accounts,
  '0004-firewall': firewall,
  '0006-tenants': tenants,
  '0007-images': images,
  '0008-access': access,
  '0009-firewall-weight': firewallWeight,
  '0010-names': names,
  '0014-disabled-accounts': disabledAccounts,
  '0015-tokens': tokens,
  '0016-networks': networks,
  '0017-shared-networks': sharedNetworks,
  '0018-network-routes': networkRoutes,
  '0019-floating-addresses': floatingAddresses,
  '0021-set-aside': setAside,
  '0022-floating-shown': floatingShown,
  '0023-wires': wires,
  '0024-access-keys': accessKeys,
  '0025-unfinished-by-machine': unfinishedByMachine,
};

export class Store implements AsyncDisposable {
  /** Only to read from: what is written is written in a transaction. */
  readonly db: Db;
  /** Where it is, without a password. */
  readonly shown: string;
  readonly #engine: Engine;
  readonly #written = new Written();
  readonly #commits: GroupCommit;
  #onRecovered: () => void = () => undefined;

  private constructor(engine: Engine) {
    this.#engine = engine;
    this.#commits = new GroupCommit(engine, this.#written, () => this.#onRecovered());
    this.db = engine.reader;
    this.shown = engine.shown;
  }

  /** `database`: the path of an SQLite file, or the URL of a PostgreSQL database. */
  static async open(database: string): Promise<Store> {
    await using stack = new AsyncDisposableStack();
    const engine = stack.use(openEngine(database));
    // What is made side by side is numbered before it lands, and may land in another order.
    const migrator = new Migrator({ db: engine.writer, provider: { getMigrations: () => Promise.resolve(migrations) }, allowUnorderedMigrations: true });
    const { error } = await migrator.migrateToLatest();
    if (error instanceof CenoteError) throw error;
    if (error !== undefined) {
      throw new CenoteError('failed', `the store ${engine.shown} cannot be opened or brought up to date`, { cause: error });
    }
    const store = new Store(engine);
    await store.transaction((db) => accountEnsure(systemContext, db, defaultAccount));
    stack.move();
    return store;
  }

  /** Called when transactions succeed again after some had failed with the database: what was in those may have been written. */
  set onRecovered(call: () => void) {
    this.#onRecovered = call;
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

  /**
   * Another number once this store has written who may do what: accounts, keys, users, roles. Whoever keeps what was read of that asks whether it
   * is still the number from before the read.
   */
  get accessVersion(): number {
    return this.#written.accessVersion;
  }

  /** Called when that number has become another. */
  set onAccess(call: () => void) {
    this.#written.onAccess = call;
  }

  /** Name of its last migration. */
  get schema(): string {
    return Object.keys(migrations).at(-1)!;
  }

  /** All rows as of one moment, table by table. */
  dump(): AsyncGenerator<Rows> {
    return dump(this.#engine);
  }

  /** Everything is a copy's from then on, and nothing more is taken: what this process knows is of before. */
  replace(copy: Copy): Promise<Restored> {
    return this.#commits.last((db) => restore(db, this.#engine, migrations, copy));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commits.close();
    await this.#engine[Symbol.asyncDispose]();
  }
}
