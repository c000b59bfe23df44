/** The machines that the journal knows, for who governs while no agent runs. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Resources } from '../../model/resources.ts';

/** An agent that starts on it may be writing. */
const busyMs = 1000;

export interface RecordedMachine {
  id: string;
  name: string;
  resources: Resources;
}

/** All of them, whether they run or not. Nothing is written. */
export const recordedMachines = (journalPath: string): RecordedMachine[] => {
  if (!existsSync(journalPath)) return [];
  using opened = new DisposableStack();
  const database = opened.adopt(new DatabaseSync(journalPath, { readOnly: true, timeout: busyMs }), (one) => one.close());
  const spec = (field: string) => `json_extract(record, '$.spec.${field}') AS ${field}`;
  const rows = database.prepare(`SELECT id, ${spec('name')}, ${spec('resources')} FROM machine`).all();
  return rows.map(({ id, name, resources }) => ({ id: String(id), name: String(name), resources: JSON.parse(String(resources)) as Resources }));
};
