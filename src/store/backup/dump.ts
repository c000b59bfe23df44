/** The store's rows as of one moment, while it goes on being used. */
import type { Engine } from '../dialect/engine.ts';
import { tables } from '../schema.ts';
import type { Rows } from './format.ts';

const batchSize = 200;

export async function* dump(engine: Engine): AsyncGenerator<Rows> {
  await using snapshot = await engine.snapshot();
  for (const table of tables) {
    let rows: Rows['rows'] = [];
    for await (const row of snapshot.rows(table)) {
      rows.push(row);
      if (rows.length < batchSize) continue;
      yield { table, rows };
      rows = [];
    }
    if (rows.length > 0) yield { table, rows };
  }
}
