/** `up` with another share of the host: machines that run follow, and what would be less than they are guaranteed is refused. Needs root. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AgentClient } from '../../src/client/agent.ts';
import { openAllotment } from '../../src/host/allotment/allotment.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { eventually } from '../support/inside.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import { KernelNumbers } from '../support/kernel-numbers.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';

it('what machines are guaranteed is not taken from below them', { skip: skipInstance }, async () => {
  await using instance = await startInstance({ poolSizeMib: 1024, cpuMillis: 100, memoryMib: 512 });
  const up = ['up', '--no-hello', '--yes'];
  await instance.must('create', 'one', '--cpu', '0.06', '--memory', '128M', '--disk', '256M', '--', 'sleep', 'infinity');
  const shared = () => openAllotment().find(instance.root)?.share;
  const before = shared();

  assert.match(await instance.refused(...up, '--cpu', '0.05'), /machines are guaranteed 0\.06 cores; 0\.05 cores could be\n.*cenote resize NAME --cpu/);
  assert.match(await instance.refused(...up, '--memory', '100M'), /machines are guaranteed 128M; 100M could be\n/);
  assert.match(
    await instance.refused(...up, '--memory', '100M', '--overcommit-memory', '2'),
    /a machine is guaranteed 128M by itself; the pool would have 100M\n.*cenote resize NAME --memory/,
  );
  assert.deepEqual(shared(), before);
  assert.match(
    await instance.refused(...up, '--cpu', '0.05', '--overcommit-cpu', '2'),
    /a machine is guaranteed 0\.06 cores by itself; the pool would have 0\.05/,
  );
  await instance.must('resize', 'one', '--cpu', '0.05');
  await instance.must(...up, '--cpu', '0.05', '--overcommit-cpu', '2');
  assert.match(
    await instance.refused('create', 'two', '--cpu', '0.06', '--disk', '64M', '--memory', '64M'),
    /not enough CPU: asked for 0\.06 cores, 0\.05 cores of 0\.1 cores left/,
  );
  await instance.must(...up, '--overcommit-cpu', '4');
  assert.match(
    await instance.refused('create', 'two', '--cpu', '0.06', '--disk', '64M', '--memory', '64M'),
    /not enough CPU: asked for 0\.06 cores, and the pool has 0\.05 cores, for a machine by itself too\nask for less/,
  );
  await instance.must('create', 'three', '--cpu', '0.04', '--disk', '64M', '--memory', '64M', '--no-start');
  assert.match(await instance.refused(...up, '--overcommit-cpu', '1'), /machines are guaranteed 0\.09 cores; 0\.05 cores could be\n/);
  await instance.must('delete', 'three');
  await instance.must(...up, '--cpu', '0.08', '--overcommit-cpu', '1', '--memory', '128M', '--overcommit-disk', '2');
  assert.deepEqual(shared(), { cpuMillis: 80, memoryMib: 128 });
  await instance.must('resize', 'one', '--cpu', '0.06');

  // While no agent runs its records say so.
  await instance.must('down');
  assert.match(await instance.refused(...up, '--cpu', '0.05'), /machines are guaranteed 0\.06 cores; 0\.05 cores could be\n.*cenote resize NAME --cpu/);
  assert.match(await instance.refused(...up, '--memory', '100M'), /machines are guaranteed 128M; 100M could be\n/);
  assert.match(await instance.refused(...up, '--overcommit-disk', '1'), /the agent does not run.*\nbring it up as it was first/);
  assert.deepEqual(shared(), { cpuMillis: 80, memoryMib: 128 });
  await instance.must(...up, '--cpu', '0.1');
});

it('a share that is made larger or smaller is the pool of those that run, at once', { skip: skipInstance }, async () => {
  await using instance = await startInstance({ poolSizeMib: 1024, cpuMillis: 100, memoryMib: 512 });
  const up = (...share: string[]) => instance.must('up', '--no-hello', '--yes', ...share);
  const { machine } = await instance.json<{ machine: Machine }>('create', 'grows', '--memory', '64M', '--disk', '64M', '--', ...memoryMachineCommand);
  using agent = new AgentClient(instancePaths(instance.root).agentSocket);
  const numbers = new KernelNumbers(instance, await agent.info());
  const scores = (of = machine) => new Set(numbers.oomScores(of.id));
  assert.deepEqual(scores(), new Set([775]));
  const [first] = numbers.pids(machine.id);

  assert.match(await up('--memory', '1G', '--cpu', '0.2'), /^The pool: 0\.2 cores, 1G of memory/m);
  assert.equal(kernelMemory(instance.instance).limitMib, 1024);
  assert.equal(kernelMemory(instance.instance, machine.id).limitMib, 1024);
  assert.equal(numbers.of('').cpuMillis, 200);
  assert.deepEqual(scores(), new Set([838]));
  using taker = await MemoryTaker.at(machine.address);
  await taker.take('own', 560);
  const { machine: keeps } = await instance.json<{ machine: Machine }>('create', 'keeps', '--memory', '128M', '--disk', '256M', '--', ...memoryMachineCommand);
  using files = await MemoryTaker.at(keeps.address);
  await files.take('cache', 100);
  const cached = kernelMemory(instance.instance, keeps.id).usedMib;
  assert.ok(cached > 100 && cached < 128, `${cached} MiB`);

  // What a machine is busy with, here a copy that nobody reads on, keeps neither the pool nor the others from following.
  const unread = await agent.filesGet(keeps.id, '/tmp');
  assert.match(await up('--memory', '960M'), /^The pool: 0\.2 cores, 960M of memory/m);

  // It borrows more than there is to be: the governor takes that back first, and from nobody else, though cache is taken most easily.
  assert.match(await up('--memory', '512M', '--cpu', '0.1'), /^The pool: 0\.1 cores, 512M of memory/m);
  const { limitMib, usedMib } = kernelMemory(instance.instance);
  assert.equal(limitMib, 512);
  assert.ok(usedMib <= 512);
  assert.equal(numbers.of('').cpuMillis, 100);
  assert.equal(kernelMemory(instance.instance, machine.id).kills, 0);
  const keepsAll = () => {
    const left = kernelMemory(instance.instance, keeps.id).usedMib;
    assert.ok(left > cached - 4, `of ${cached} MiB within its guarantee ${left} are left`);
  };
  keepsAll();
  await taker.check();
  assert.equal(numbers.pids(machine.id)[0], first);
  assert.match(await instance.refused('create', 'other', '--memory', '600M', '--disk', '64M'), /512M/);
  // What borrows may be offered to the kernel just now.
  assert.deepEqual(scores(keeps), new Set([650]));
  unread.destroy();

  // So it is with one that no agent saw; and where memory and swap together do not hold what there is, the borrower pays for it.
  await instance.must('down');
  assert.match(await up('--memory', '384M'), /^The pool: 0\.1 cores, 384M of memory/m);
  assert.equal(kernelMemory(instance.instance).limitMib, 384);
  keepsAll();
  await eventually(async () => assert.deepEqual(scores(keeps), new Set([567])));
});
