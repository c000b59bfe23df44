/** What is promised to machines by the journal's records, for who asks while no agent runs. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { guaranteeKeys, noGuarantees } from '../model/resources.ts';
import type { Guarantees } from '../model/resources.ts';

/** An agent may be about to start on it: nothing is written. */
export const recordedGuarantees = (journalPath: string): Guarantees => {
  const guaranteed = { ...noGuarantees };
  if (!existsSync(journalPath)) return guaranteed;
  using opened = new DisposableStack();
  const database = opened.adopt(new DatabaseSync(journalPath, { readOnly: true }), (one) => one.close());
  const sums = guaranteeKeys.map((key) => `coalesce(sum(json_extract(record, '$.spec.resources.${key}')), 0) AS ${key}`);
  const row = database.prepare(`SELECT ${sums.join(', ')} FROM machine`).get()!;
  for (const key of guaranteeKeys) guaranteed[key] = Number(row[key]);
  return guaranteed;
};
