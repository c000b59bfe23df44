/** Packing that is interrupted: at whatever moment, it is told to who reads, and nothing else comes of it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { packFiles } from './pack.ts';

test('an interruption at any moment ends the packing, whether anybody reads or not', { timeout: 60_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-pack-'));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'lib'));
  writeFileSync(join(directory, 'lib', 'part.js'), 'x');
  writeFileSync(join(directory, 'large'), Buffer.alloc(3 * 2 ** 20));
  writeFileSync(join(directory, 'server.js'), 'serve()');
  let interrupted = 0;
  for (let moment = 0; moment < 200; moment += 1) {
    const command = new AbortController();
    const content = packFiles([{ path: directory, name: '' }], { signal: command.signal });
    const isRead = moment % 2 === 0;
    const read = isRead
      ? content.toArray().then(
          () => 'all',
          (error: Error) => error.message,
        )
      : Promise.resolve('nothing');
    for (let turns = 0; turns < moment / 4; turns += 1) await turn();
    command.abort(new Error('ended by SIGINT'));
    const got = await read;
    if (isRead) assert.match(got, /^(all|ended by SIGINT)$/);
    if (got === 'ended by SIGINT') interrupted += 1;
    if (!content.closed) await new Promise((resolve) => void content.once('close', resolve));
  }
  assert.ok(interrupted > 10, `${interrupted} times`);
});
