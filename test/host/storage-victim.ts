/**
 * A process that works on a pool until it is killed: storage.test.ts kills it at a random moment. It says on its output what was done
 * and must still be there, one JSON line each, after the call has returned.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { jsonLine } from '../../src/base/json-lines.ts';
import { createLogger } from '../../src/base/logger.ts';
import { openStorage } from '../../src/host/storage/open.ts';

const root = process.argv[2]!;
const logger = createLogger({ name: 'victim', level: 'silent' });
const storage = await openStorage({ root, driver: 'btrfs', sizeMib: 512, logger });
const say = (fact: Record<string, string>) => writeSync(1, jsonLine(fact));
const file = (id: string) => join(storage.volumePath(id), 'upper', 'file');

say({ event: 'ready' });
for (;;) {
  const id = randomUUID();
  const copy = randomUUID();
  await storage.volumeCreate(id, { quotaMib: 64 });
  writeFileSync(file(id), 'first');
  say({ event: 'created', id });
  await storage.snapshotCreate(id, 's');
  say({ event: 'snapshot', id });
  writeFileSync(file(id), 'second');
  await storage.snapshotRollback(id, 's');
  say({ event: 'rolledBack', id });
  await storage.volumeCreate(copy, { quotaMib: 64, from: { volume: id, snapshot: 's' } });
  say({ event: 'created', id: copy });
  await storage.treeStage('image', id);
  await storage.treeSeal('image', id);
  say({ event: 'sealed', id });
  await storage.treeDelete('image', id);
  say({ event: 'deleting', id });
  await storage.volumeDelete(id);
  say({ event: 'deleted', id });
}
