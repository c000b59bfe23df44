import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldShare } from './pool.ts';

test('of a share of memory that has grown since the agent’s start only what the kernel was told of is promised', () => {
  const atStart = { cpuMillis: 1000, memoryMib: 4096 };
  assert.deepEqual(heldShare({ cpuMillis: 2000, memoryMib: 8192 }, atStart), { cpuMillis: 2000, memoryMib: 4096 });
  assert.deepEqual(heldShare({ cpuMillis: 500, memoryMib: 1024 }, atStart), { cpuMillis: 500, memoryMib: 1024 });
});
