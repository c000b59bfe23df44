/** What the journal's records say, for who asks while no agent runs. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { SQLOutputValue } from 'node:sqlite';
import { guaranteeKeys, noGuarantees } from '../model/resources.ts';
import type { Guarantees, Resources } from '../model/resources.ts';

/** An agent that starts on it may be writing. */
const busyMs = 1000;

export interface RecordedMachine {
  id: string;
  name: string;
  resources: Resources;
}

/** What is promised to machines. */
export const recordedGuarantees = (journalPath: string): Guarantees => {
  const guaranteed = { ...noGuarantees };
  const sums = guaranteeKeys.map((key) => `coalesce(sum(json_extract(record, '$.spec.resources.${key}')), 0) AS ${key}`);
  for (const row of ofMachines(journalPath, sums)) for (const key of guaranteeKeys) guaranteed[key] = Number(row[key]);
  return guaranteed;
};

/** All machines, whether they run or not. */
export const recordedMachines = (journalPath: string): RecordedMachine[] => {
  const spec = (field: string) => `json_extract(record, '$.spec.${field}') AS ${field}`;
  return ofMachines(journalPath, ['id', spec('name'), spec('resources')]).map(({ id, name, resources }) => ({
    id: String(id),
    name: String(name),
    resources: JSON.parse(String(resources)) as Resources,
  }));
};

/** Nothing is written; where there is no journal, nothing is on record. */
const ofMachines = (journalPath: string, columns: readonly string[]): Record<string, SQLOutputValue>[] => {
  if (!existsSync(journalPath)) return [];
  using opened = new DisposableStack();
  const database = opened.adopt(new DatabaseSync(journalPath, { readOnly: true, timeout: busyMs }), (one) => one.close());
  return database.prepare(`SELECT ${columns.join(', ')} FROM machine`).all();
};
