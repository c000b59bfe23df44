/** Instances that come and go at the same moment: what belongs to the whole host is made once, and taken away by the last. Needs root. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { skipInstance, startInstance } from '../support/instance.ts';

test('three instances come at once, and go while others come', { skip: skipInstance }, async () => {
  const options = { poolSizeMib: 512, cpuMillis: 50, memoryMib: 128 };
  const come = () => startInstance(options);
  const [one, two, three] = await Promise.all([come(), come(), come()]);
  const names = [one, two, three].map(({ instance }) => instance);
  assert.equal(new Set(names).size, 3, names.join());
  const [left, four, alsoLeft] = await Promise.all([one.destroy(), come(), two.destroy()]);
  assert.deepEqual([...left, ...alsoLeft], []);
  await Promise.all([three.must('info'), four.must('info')]);
  const [thirdLeft, fourthLeft] = await Promise.all([three.destroy(), four.destroy()]);
  assert.deepEqual([...thirdLeft, ...fourthLeft], []);
});

test('what is mounted elsewhere as well keeps an instance on record until it is gone', { skip: skipInstance }, async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'elsewhere-'));
  await using instance = await startInstance({ poolSizeMib: 512, cpuMillis: 50, memoryMib: 128 });
  // As a chroot does that binds all of a file system with what is mounted on it.
  const inner = join(elsewhere, 'inner');
  mkdirSync(inner);
  await run('mount', ['--rbind', instance.root, inner]);
  await run('mount', ['--make-rprivate', inner]);
  try {
    const { code, stderr } = await instance.cenote('destroy', '--yes');
    assert.equal(code, 1);
    assert.match(stderr, /cenote: \S+ cannot be removed: something is mounted there[^\n]*\n/);
  } finally {
    await run('umount', ['--recursive', inner]);
    rmSync(elsewhere, { recursive: true });
  }
  assert.deepEqual(await instance.destroy(), []);
});
