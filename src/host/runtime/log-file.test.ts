/** Whoever stops reading a log leaves nothing behind on the signal that would have stopped him. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { currentName, readLog } from './log-file.ts';

test('a log that is followed no further is not listened for', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-log-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, currentName), '2026-01-01T00:00:00.000000000+00:00 stdout F first\n');
  const { signal } = new AbortController();
  for await (const { text } of readLog(directory, { follow: true, tail: null, signal })) {
    assert.equal(text, 'first');
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    break;
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});
