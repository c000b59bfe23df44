/** `up` with less to share out than machines are guaranteed already: refused with the numbers, and nothing is changed. Needs root. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openAllotment } from '../../src/host/allotment/allotment.ts';
import { skipInstance, startInstance } from '../support/instance.ts';

it('what machines are guaranteed is not taken from below them', { skip: skipInstance }, async () => {
  await using instance = await startInstance({ poolSizeMib: 1024, cpuMillis: 100, memoryMib: 512 });
  const up = ['up', '--no-hello', '--yes'];
  await instance.must('create', 'one', '--cpu', '0.06', '--memory', '128M', '--disk', '256M', '--', 'sleep', 'infinity');
  const shared = () => openAllotment().find(instance.root)?.share;
  const before = shared();

  assert.match(await instance.refused(...up, '--cpu', '0.05'), /machines are guaranteed 0\.06 cores; 0\.05 cores could be\n.*cenote resize NAME --cpu/);
  assert.match(await instance.refused(...up, '--memory', '100M'), /machines are guaranteed 128M; 100M could be\n/);
  assert.deepEqual(shared(), before);
  await instance.must(...up, '--cpu', '0.05', '--overcommit-cpu', '2');
  assert.match(await instance.refused(...up, '--overcommit-cpu', '1'), /machines are guaranteed 0\.06 cores; 0\.05 cores could be\n/);
  await instance.must(...up, '--cpu', '0.08', '--overcommit-cpu', '1', '--memory', '128M', '--overcommit-disk', '2');
  assert.deepEqual(shared(), { cpuMillis: 80, memoryMib: 128 });

  // While no agent runs its records say so.
  await instance.must('down');
  assert.match(await instance.refused(...up, '--cpu', '0.05'), /machines are guaranteed 0\.06 cores; 0\.05 cores could be\n.*cenote resize NAME --cpu/);
  assert.match(await instance.refused(...up, '--memory', '100M'), /machines are guaranteed 128M; 100M could be\n/);
  assert.match(await instance.refused(...up, '--overcommit-disk', '1'), /the agent does not run.*\nbring it up as it was first/);
  assert.deepEqual(shared(), { cpuMillis: 80, memoryMib: 128 });
  await instance.must(...up, '--cpu', '0.1');
});
