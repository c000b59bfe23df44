/** On real processes: no more of them die than what is missing takes, and none where that would reach into the guarantee. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { firstWord } from '../../../test/support/first-word.ts';
import { start } from '../../exec/run.ts';
import { killLargest } from './victim.ts';

const mib = 2 ** 20;
const eachMib = 40;

const holder = async (context: TestContext, sizeMib = eachMib, files = 0): Promise<ChildProcess> => {
  const child = start(
    'perl',
    ['-e', `$| = 1; open($files[$_], '<', '/dev/null') or die for 1 .. ${files}; vec(my $held, ${sizeMib} << 20, 8) = 1; print 'all'; sleep 1000`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  context.after(() => child.kill('SIGKILL'));
  await firstWord(child);
  return child;
};
const residentBytes = (pid: number): number => {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
};
const groupOf = (children: readonly ChildProcess[]) => {
  const pids = () => children.map(({ pid }) => pid!).filter((pid) => residentBytes(pid) > 0);
  return { pids, usedBytes: () => pids().reduce((sum, pid) => sum + residentBytes(pid), 0), kernelBytes: () => 0, limitBytes: 1024 * mib };
};

test('as many are killed as have what is missing, and it is back then', async (context) => {
  const children = await Promise.all([1, 2, 3, 4].map(() => holder(context)));
  const group = groupOf(children);
  const before = group.usedBytes();
  const killed = await killLargest(group, { bytes: 60 * mib, floorBytes: 0 });
  assert.equal(killed.length, 2);
  assert.ok(killed.every(({ command, memoryMib }) => command === 'perl' && memoryMib >= eachMib));
  assert.ok(before - group.usedBytes() > 60 * mib);
  assert.equal(group.pids().length, 2);
  await killLargest(group, { bytes: 1, floorBytes: 0 });
  assert.equal(group.pids().length, 1);
});

test("what is the kernel's own is told by open files: one that has many dies before a larger one, and alone", async (context) => {
  const [large, small, many] = await Promise.all([holder(context), holder(context, 4), holder(context, 4, 900)]);
  const group = { ...groupOf([large, small, many]), kernelBytes: () => 100 * mib };
  const killed = await killLargest(group, { bytes: 60 * mib, floorBytes: 0 });
  assert.deepEqual(
    killed.map(({ pid }) => pid),
    [many.pid],
  );
});

test('none is killed within the guarantee, nor when those that were killed before bring it there', async (context) => {
  const group = groupOf(await Promise.all([1, 2, 3].map(() => holder(context))));
  assert.deepEqual(await killLargest(group, { bytes: mib, floorBytes: group.usedBytes() }), []);
  const killed = await killLargest(group, { bytes: 500 * mib, floorBytes: group.usedBytes() - 10 * mib });
  assert.equal(killed.length, 1);
});
