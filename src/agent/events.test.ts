/** Who follows hears of everything once, whether it is on disk yet or not. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createLogger } from '../base/logger.ts';
import { Events } from './events.ts';
import { Journal } from './journal.ts';

const open = () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-events-'));
  const stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const journal = stack.use(new Journal(join(directory, 'journal.db')));
  const events = new Events(journal, createLogger({ name: 'test', level: 'fatal' }));
  return { events, journal, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};

/** Numbers of what comes, as it comes together, until so many have come. */
const heard = async (events: Events, after: number, count: number): Promise<number[][]> => {
  const stop = new AbortController();
  const batches: number[][] = [];
  for await (const batch of events.follow(after, stop.signal)) {
    batches.push(batch.map(({ sequence }) => sequence));
    if (batches.flat().length >= count) stop.abort();
  }
  return batches;
};

test('what happens in a turn comes together; what happened before comes first', async () => {
  await using opened = open();
  const { events } = opened;
  for (let one = 0; one < 3; one += 1) events.emit('test.happened', 'a', 'it happened');
  await turn();
  const following = heard(events, 1, 6);
  await turn();
  await turn();
  for (let one = 0; one < 4; one += 1) events.emit('test.happened', 'a', 'it happened');
  assert.deepEqual(await following, [
    [2, 3],
    [4, 5, 6, 7],
  ]);
});

test('what was told and is not on disk yet is not missed by who begins to follow then', async () => {
  await using opened = open();
  const { events, journal } = opened;
  events.emit('test.happened', 'a', 'it happened');
  assert.deepEqual(journal.eventsAfter(0), [], 'it is not on disk yet');
  const following = heard(events, 0, 2);
  await turn();
  events.emit('test.happened', 'a', 'it happened');
  assert.deepEqual((await following).flat(), [1, 2]);
});

test('a reader that is ended while it waits ends', async () => {
  await using opened = open();
  const stop = new AbortController();
  const batches = opened.events.follow(0, stop.signal);
  const next = batches.next();
  await turn();
  stop.abort();
  assert.equal((await next).done, true);
});
