/** What the scheduler of the pool's disk was, on record: whole or not at all. Files stand for the kernel's. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import { shareAsBefore, shareByWeight } from './io-queue.ts';
import type { IoQueue } from './io-queue.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

const queueIn = (context: TestContext): { queue: IoQueue; record: string; directory: string } => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-queue-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'queue/iosched'), { recursive: true });
  const scheduler = join(directory, 'queue/scheduler');
  writeFileSync(scheduler, '[none] bfq');
  return { queue: { number: '0:0', isOwn: true, scheduler }, record: join(directory, 'scheduler.json'), directory };
};

test('the record is put in place whole', (context) => {
  const { queue, record, directory } = queueIn(context);
  // What was there before is replaced, never emptied: one that is killed in between leaves one of the two.
  writeFileSync(record, '{}', { mode: 0o600 });
  const { ino } = statSync(record);
  shareByWeight(queue, record, logger);
  assert.deepEqual(JSON.parse(readFileSync(record, 'utf8')), { number: '0:0', scheduler: 'none' });
  assert.notEqual(statSync(record).ino, ino);
  assert.equal(readFileSync(queue.scheduler, 'utf8'), 'bfq');
  assert.deepEqual(readdirSync(directory).toSorted(), ['queue', 'scheduler.json']);
});

test('a record that cannot be read is as none', (context) => {
  const { record } = queueIn(context);
  for (const text of ['', '{"number":"7:', 'null', '[]', '{"number":7,"scheduler":"none"}', '{"number":"../..","scheduler":"none"}']) {
    writeFileSync(record, text);
    shareAsBefore(record);
  }
});
