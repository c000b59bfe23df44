import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import type { Happened } from '../events.ts';
import { keepEvents, keptEventsPath, tellKept } from './kept-events.ts';

const logger = createLogger({ name: 'test', level: 'fatal' });
const temporary = (context: TestContext): string => {
  const directory = mkdtempSync(`${tmpdir()}/kept-`);
  context.after(() => rmSync(directory, { recursive: true }));
  return keptEventsPath(directory);
};
const told = (path: string): Happened[] => {
  const all: Happened[] = [];
  tellKept(path, { tell: (what) => void all.push(what) });
  return all;
};

test('what was done without an agent is told of once, with its time, whatever a kill has left of the last line', (context) => {
  const path = temporary(context);
  assert.deepEqual(told(path), []);
  const events = keepEvents(path, logger);
  events.emit('governor.killed.test', 'm', 'a process was killed', { killed: 1 });
  events.emit('machine.test', 'n', 'no detail');
  const from = Date.now() - 60_000;
  appendFileSync(path, '{"at":"2026');
  const all = told(path);
  assert.deepEqual(
    all.map(({ at: _at, ...rest }) => rest),
    [
      { type: 'governor.killed.test', subject: 'm', message: 'a process was killed', detail: { killed: 1 } },
      { type: 'machine.test', subject: 'n', message: 'no detail', detail: {} },
    ],
  );
  assert.ok(all.every(({ at }) => Date.parse(at) > from));
  assert.equal(existsSync(path), false);
});

test('the file does not grow without end', (context) => {
  const path = temporary(context);
  writeFileSync(path, 'x'.repeat(2 ** 20));
  keepEvents(path, logger).emit('machine.test', 'm', 'one more');
  assert.equal(readFileSync(path, 'utf8').length, 2 ** 20);
});
