/**
 * The laws of the pool's memory on cgroup v2, with whatever swap this host has. Runs inside the virtual host, on the instance of 1 GiB
 * that `cenote up` has made at the default root; skipped elsewhere.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../../src/client/control.ts';
import { run, start } from '../../../src/exec/run.ts';
import { readHostMemory } from '../../../src/host/cgroup/host-memory.ts';
import type { Event } from '../../../src/model/event.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { hasSwap } from '../../../src/setup/zram.ts';
import { PoolWorld, missedMib, poolMib } from '../../host/pool-trials.ts';
import type { Trial } from '../../host/pool-trials.ts';
import { firstWord } from '../../support/first-word.ts';
import { kernelMemory } from '../../support/kernel-memory.ts';
import { MemoryTaker } from '../../support/memory-machine.ts';
import { agentAnswers, agentBack, agentPid } from './agent-pid.ts';
import { seed, skipInside } from './inside.ts';

const paths = instancePaths(defaultRoot);
const trials = Number(process.env['CENOTE_TEST_TRIALS'] ?? 3);
const swap = hasSwap();

describe(`the pool ${swap ? 'with' : 'without'} swap`, { skip: skipInside }, () => {
  const control = new ControlClient(paths.controlSocket);
  let world: PoolWorld;
  let mayHaveLost = false;
  before(async () => {
    world = await PoolWorld.make({ instance: 'default' }, control);
  });
  after(async () => {
    for (const { id } of [world.borrower, ...world.neighbours]) await control.machineDelete(id, { wait: 120 });
    control[Symbol.dispose]();
  });

  const settle = async ({ swappedMib, borrowerKills, borrowerLost }: Pick<Trial, 'swappedMib' | 'borrowerKills' | 'borrowerLost'>): Promise<void> => {
    assert.equal(swappedMib, 0);
    if (world.mayLose) mayHaveLost = true;
    else assert.equal(borrowerKills, 0);
    if (borrowerLost > 0) await world.renewBorrower();
    await world.settled();
  };
  const kills = async (): Promise<Event[]> => {
    const all: Event[] = [];
    for await (const events of control.events()) all.push(...events);
    return all.filter(({ type }) => type === 'governor.killed');
  };

  it('a borrower at ten times its guarantee gives back what neighbours claim', async (context) => {
    for (let round = 0; round < 2; round += 1) {
      const outcome = await world.tenTimes();
      context.diagnostic(JSON.stringify(outcome));
      await settle(outcome);
    }
  });

  it('neighbours have what they claim, whatever the borrower has', async (context) => {
    for (let round = 0; round < trials; round += 1) {
      const trial = await world.trial(seed + round);
      context.diagnostic(JSON.stringify(trial));
      await settle(trial);
    }
  });

  for (const [signal, what] of [
    ['SIGKILL', 'is killed'],
    ['SIGSTOP', 'stands still'],
  ] as const)
    it(`neighbours have what they claim while the agent ${what}`, async (context) => {
      const pid = (await agentPid())!;
      const meanwhile = async (below: (limit: number) => number): Promise<void> => {
        await sleep(below(250));
        process.kill(pid, signal);
      };
      let trial: Trial;
      try {
        trial = await world.trial(seed, { leastMib: missedMib, meanwhile });
      } finally {
        // It may have been killed for its standing still: an emulated host takes its time.
        if (signal === 'SIGSTOP' && (await agentPid()) === pid) process.kill(pid, 'SIGCONT');
      }
      context.diagnostic(JSON.stringify(trial));
      await agentBack(control);
      await settle(trial);
    });

  it('neighbours have what they claim while the host’s clock jumps ten years ahead and back', async (context) => {
    const begunMs = Date.now() - performance.now();
    const jump = (years: number) => run('date', ['--set', `@${Math.round((begunMs + performance.now()) / 1000) + years * 365 * 86_400}`]);
    try {
      for (const [round, years] of [10, 0].entries()) {
        const meanwhile = async (below: (limit: number) => number): Promise<void> => {
          await sleep(below(250));
          await jump(years);
        };
        const trial = await world.trial(seed + trials + round, { meanwhile });
        context.diagnostic(JSON.stringify(trial));
        await settle(trial);
      }
    } finally {
      await jump(0);
    }
    assert.ok(await agentAnswers(control));
  });

  it('a borrower that is busy with all it has is not killed for it', { skip: swap ? false : 'needs swap' }, async () => {
    using held = new DisposableStack();
    const taker = held.use(await MemoryTaker.at(world.borrower.address));
    await taker.take('own', 640);
    // What is taken back it wants again at once; it goes on so for minutes.
    let ended = 'it works';
    void taker.check().then(
      () => (ended = 'it is done'),
      (error: unknown) => (ended = String(error)),
    );
    const takers = await Promise.all(world.neighbours.map(async ({ address }) => held.use(await MemoryTaker.at(address))));
    await Promise.all(takers.map((one, index) => one.take('own', world.neighbours[index]!.resources.memoryMib - 12)));
    for (const deadline = Date.now() + 120_000; kernelMemory('default').usedMib > poolMib - 24; await sleep(100))
      assert.ok(Date.now() < deadline, 'the reserve is not there again');
    assert.doesNotMatch(ended, /Error/);
    assert.deepEqual(await kills(), []);
    await world.renewBorrower();
  });

  it('what is guaranteed stays when the host itself runs short', { skip: swap ? false : 'needs swap' }, async (context) => {
    using held = new DisposableStack();
    const takers = await Promise.all([world.borrower, ...world.neighbours].map(async ({ address }) => held.use(await MemoryTaker.at(address))));
    await Promise.all(takers.map((taker, index) => taker.take('own', [300, ...world.neighbours.map(({ resources }) => resources.memoryMib - 12)][index]!)));
    const before = readHostMemory();
    // Of the host's own, in no group of ours, and such as can be compressed: the kernel must look for room everywhere.
    const hogMib = Math.round(before.availableBytes / 2 ** 20) + 200;
    const fill = `$block = "a" x (1 << 20); for (1 .. ${hogMib}) { push @held, $block; substr($held[-1], 0, 1) = "b" } syswrite STDOUT, "all"; sleep 1000`;
    const hog = start('perl', ['-e', fill], { stdio: ['ignore', 'pipe', 'inherit'] });
    held.defer(() => hog.kill('SIGKILL'));
    assert.equal(await firstWord(hog), 'all');
    const swapped = Object.fromEntries([world.borrower, ...world.neighbours].map(({ name, id }) => [name, kernelMemory('default', id).swappedMib]));
    context.diagnostic(`${Math.round((before.swapFreeBytes - readHostMemory().swapFreeBytes) / 2 ** 20)} MiB swapped, of machines ${JSON.stringify(swapped)}`);
    assert.ok(readHostMemory().swapFreeBytes < before.swapFreeBytes - 50 * 2 ** 20, 'there was no pressure');
    for (const { name } of world.neighbours) assert.equal(swapped[name], 0, name);
    await Promise.all(takers.map((taker) => taker.check()));
  });

  it('who was killed for it, if anybody had to be, was the borrower, and the numbers are told', async (context) => {
    const told = await kills();
    for (const { message } of told) context.diagnostic(message);
    if (!mayHaveLost) return assert.deepEqual(told, []);
    if (!swap) assert.ok(told.length > 0);
    for (const { subject, detail } of told) {
      assert.equal(subject, world.borrower.id);
      assert.equal(detail['guaranteeMib'], world.borrower.resources.memoryMib);
      assert.ok(Number(detail['usedMib']) > world.borrower.resources.memoryMib);
      assert.ok((detail['killed'] as unknown[]).length > 0);
    }
  });

  it('what the borrower holds of the kernel’s own comes back with processes of it', async (context) => {
    const before = (await kills()).length;
    const outcome = await world.tenTimes('sockets', 'shared');
    context.diagnostic(JSON.stringify(outcome));
    assert.equal(outcome.borrowerLost, 1);
    const told = (await kills()).slice(before);
    for (const { message } of told) context.diagnostic(message);
    assert.ok(told.length > 0 && told.every(({ subject }) => subject === world.borrower.id));
    await settle(outcome);
  });
});
