/** Logs on a disk that is full: lines are lost, and nothing else. A file system of its own, in a mount namespace of its own, is really full. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { runAny } from '../exec/run.ts';
import type { RunResult } from '../exec/run.ts';

const module = JSON.stringify(fileURLToPath(new URL('./logger.ts', import.meta.url)));

const withFullDisk = (directory: string, script: string): Promise<RunResult> =>
  runAny(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs -o size=4m cenote-test "$1" && cd "$1" && exec "$2" --input-type=module --eval "$3"',
      'sh',
      directory,
      process.execPath,
      `import { createLogger, logTo } from ${module};
       import { appendFileSync, readFileSync, rmSync } from 'node:fs';
       const fill = () => { try { for (;;) appendFileSync('filling', 'x'.repeat(100)); } catch (error) { if (error.code !== 'ENOSPC') throw error; } };
       const lines = () => readFileSync('log', 'utf8').trimEnd().split('\\n').map((line) => JSON.parse(line).msg);
       const log = createLogger({ name: 'test', destination: logTo('log') });
       ${script}`,
    ],
    { timeoutMs: 30_000 },
  );

describe('a log whose disk is full', { skip: process.getuid!() === 0 ? false : 'needs root' }, () => {
  test('ends nothing, and goes on when there is room', async () => {
    const { code, stdout, stderr } = await withFullDisk(
      '/mnt',
      `log.info('before');
       log.info('x'.repeat(200_000));
       fill();
       for (let line = 0; line < 100; line += 1) log.info('meanwhile ' + line);
       rmSync('filling');
       log.info('after');
       console.log(JSON.stringify(lines()));`,
    );
    assert.equal(code, 0, stderr);
    const told = JSON.parse(stdout) as string[];
    assert.equal(told[0], 'before');
    assert.equal(told.at(-1), 'after');
    // What was told meanwhile comes late, and whole.
    assert.equal(told.length, 103);
  });

  test('gathers no more than a little of what cannot be written, and goes on after that too', async () => {
    const { code, stdout, stderr } = await withFullDisk(
      '/mnt',
      `fill();
       const line = 'x'.repeat(1000);
       for (let at = 0; at < 200_000; at += 1) log.info(line);
       const heldMib = process.memoryUsage.rss() / 2 ** 20;
       rmSync('filling');
       log.info('y'.repeat(1000));
       log.info('z'.repeat(1000));
       console.log(JSON.stringify({ heldMib, last: lines().at(-1) }));`,
    );
    assert.equal(code, 0, stderr);
    const { heldMib, last } = JSON.parse(stdout) as { heldMib: number; last: string };
    assert.ok(heldMib < 200, `${heldMib} MiB`);
    assert.equal(last, 'z'.repeat(1000));
  });

  test('does not keep a process that is to end', async () => {
    const { code, stderr, timedOut } = await withFullDisk('/mnt', `fill(); log.info('x'.repeat(5000)); log.fatal('cannot start'); process.exitCode = 3;`);
    assert.deepEqual([code, timedOut], [3, false], stderr);
  });
});

test('a standard output that takes nothing ends nothing', async () => {
  const script = `import { createLogger } from ${module}; const log = createLogger({ name: 'test' }); for (let at = 0; at < 5; at += 1) log.info('x'); process.exitCode = 3;`;
  const { code, stderr } = await runAny('sh', ['-c', 'exec "$1" --input-type=module --eval "$2" > /dev/full', 'sh', process.execPath, script]);
  assert.equal(code, 3, stderr);
});
