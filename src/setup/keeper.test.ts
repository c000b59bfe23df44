/** A program whose start cannot be written down, as on a full disk, does not run on beside the next one. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../base/logger.ts';
import { keepRunning } from './keeper.ts';

/** Processes with this argument. */
const running = (argument: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
      } catch {
        return false;
      }
    })
    .map(Number);

test('a program that cannot be written down is ended before it is tried again', { timeout: 20_000 }, async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-keeper-'));
  const argument = `98765.${process.pid}`;
  context.after(() => {
    rmSync(directory, { recursive: true, force: true });
    for (const pid of running(argument)) process.kill(pid, 'SIGKILL');
  });
  const stop = new AbortController();
  const told: string[] = [];
  const write = (line: string): void => {
    told.push(line);
    if (told.length === 3) stop.abort();
  };
  await keepRunning(
    {
      name: 'test',
      argv: ['sleep', argument],
      env: { PATH: process.env['PATH']! },
      umask: 0o077,
      pidPath: join(directory, 'none/test.pid'),
      logPath: join(directory, 'test.log'),
      oomScoreAdjust: 0,
      leave: false,
      log: createLogger({ name: 'test', destination: { write } }),
      firstDelayMs: 1,
    },
    stop.signal,
  );
  assert.equal(told.length, 3);
  for (const line of told) assert.match(line, /ENOENT.*"not started"/);
  assert.deepEqual(running(argument), []);
});
