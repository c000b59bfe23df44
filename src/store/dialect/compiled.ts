/**
 * Queries that every request asks. They are written with kysely and its types like any other, but put together and made text of once for each
 * database: both together cost more than SQLite takes to answer. Where the values go they have slots, by name.
 */
import { sql } from 'kysely';
import type { Compilable, CompiledQuery, DialectAdapter, QueryResult, RawBuilder } from 'kysely';
import type { Db } from '../store.ts';

export type Slots<Values> = { readonly [Name in keyof Values]: RawBuilder<Values[Name]> };

const names = new Map<string, string>();

/** What a database may know the text of such a query by; undefined for one that is put together anew each time. */
export const nameOfText = (text: string): string | undefined => names.get(text);

class Slot {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

export class Compiled<Values extends object, Row> {
  readonly #build: (db: Db, slots: Slots<Values>) => Compilable<Row>;
  readonly #texts = new WeakMap<DialectAdapter, CompiledQuery<Row>>();

  constructor(build: (db: Db, slots: Slots<Values>) => Compilable<Row>) {
    this.#build = build;
  }

  async rows(db: Db, values: Values): Promise<Row[]> {
    return (await this.#execute(db, values)).rows;
  }

  async row(db: Db, values: Values): Promise<Row | undefined> {
    return (await this.#execute(db, values)).rows[0];
  }

  /** How many rows it has changed. */
  async change(db: Db, values: Values): Promise<bigint> {
    return (await this.#execute(db, values)).numAffectedRows ?? 0n;
  }

  /** `values` has the same names each time. */
  #execute(db: Db, values: Values): Promise<QueryResult<Row>> {
    const executor = db.getExecutor();
    let text = this.#texts.get(executor.adapter);
    if (text === undefined) {
      text = this.#build(db, slotsFor(values)).compile();
      this.#texts.set(executor.adapter, text);
      if (!names.has(text.sql)) names.set(text.sql, `compiled ${names.size}`);
    }
    // Plug-ins see what is asked, each time, as they see any other query.
    executor.transformQuery(text.query, text.queryId);
    const parameters = text.parameters.map((one) => (one instanceof Slot ? values[one.name as keyof Values] : one));
    const query = { ...text, parameters };
    return executor.provideConnection((connection) => connection.executeQuery<Row>(query));
  }
}

const slotsFor = <Values extends object>(values: Values): Slots<Values> =>
  Object.fromEntries(Object.keys(values).map((name) => [name, sql.val(new Slot(name))])) as unknown as Slots<Values>;
