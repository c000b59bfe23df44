import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitOf } from './exit-reason.ts';
import type { LastCounts } from './exit-reason.ts';

const reasonOf = (code: number, counts: Partial<LastCounts> = {}): string =>
  exitOf(code, '', { outOfMemoryKills: 0, memoryLimitMib: 48, refusedProcesses: 0, ...counts }).reason;

test('an end tells what the kernel had refused before', () => {
  assert.equal(reasonOf(0), 'exited with code 0');
  assert.equal(reasonOf(2, { refusedProcesses: 1 }), 'exited with code 2 after it had reached its limit of processes once');
  assert.equal(reasonOf(2, { refusedProcesses: 7 }), 'exited with code 2 after it had reached its limit of processes 7 times');
  assert.equal(reasonOf(1, { outOfMemoryKills: 1 }), 'exited with code 1 after 1 of its processes was killed for want of memory');
  assert.equal(
    reasonOf(1, { outOfMemoryKills: 2, refusedProcesses: 3 }),
    'exited with code 1 after 2 of its processes were killed for want of memory and it had reached its limit of processes 3 times',
  );
});

test('a signal is told by its name, and as a kill for want of memory only where the kernel killed for it', () => {
  assert.equal(reasonOf(143), 'ended by SIGTERM');
  assert.equal(reasonOf(137), 'ended by SIGKILL');
  assert.equal(reasonOf(137, { outOfMemoryKills: 1 }), 'killed for want of memory: it had all of the 48M that it may have');
  assert.deepEqual(
    [137, 137, 139].map((code, kills) => exitOf(code, '', { outOfMemoryKills: kills, memoryLimitMib: 48, refusedProcesses: 0 }).outOfMemory),
    [false, true, false],
  );
});
