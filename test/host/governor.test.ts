/** The laws of the pool on the real kernel: a part of what `npm run soak` tries, and what must hold when the agent dies in the middle. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostPressure } from '../../src/host/cgroup/pressure.ts';
import type { Event } from '../../src/model/event.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { isBarredFromSwap, kernelMemory } from '../support/kernel-memory.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';
import { OwnServices } from '../support/own-services.ts';
import { seed } from '../support/seed.ts';
import { governorDies, governorStandsStill, seenMs, swapIsOut } from './pool-run.ts';
import { PoolWorld, poolMib } from './pool-trials.ts';

const trials = Number(process.env['CENOTE_TEST_TRIALS'] ?? 8);
/** Of the agent, in each of two tests. */
const deaths = Math.max(2, Math.floor(trials / 6));
const waitMs = 30_000;
/** Many small processes that begin to borrow as others claim. */
const growingSeeds = [1813957564, 1813957567];

describe('the pool', { skip: skipInstance, timeout: 1_200_000 }, () => {
  let instance: TestInstance;
  let services: OwnServices;
  let world: PoolWorld;
  before(async () => {
    instance = await startInstance({ poolSizeMib: 768, memoryMib: poolMib });
    services = await OwnServices.take(instance);
    await services.startBoth();
    world = await PoolWorld.make(instance, services.control);
  });
  after(async () => {
    await services[Symbol.asyncDispose]();
    await instance[Symbol.asyncDispose]();
  });

  const kernel = (machine: Machine) => kernelMemory(instance.instance, machine.id);
  const until = async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
    for (const deadline = Date.now() + waitMs; !(await isSo()); await sleep(20)) if (Date.now() > deadline) throw new Error(`waited too long: ${what}`);
  };
  const eventsOf = async (machine: Machine, type: string): Promise<Event[]> =>
    (await instance.must('events', '--json'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Event)
      .filter((event) => event.type === type && event.subject === machine.id);
  /** Once they are told, which is a moment after it happened. */
  const eventsSoon = async (machine: Machine, type: string): Promise<Event[]> => {
    let told: Event[] = [];
    await until(`${type} is told`, async () => (told = await eventsOf(machine, type)).length > 0);
    return told;
  };

  test('neighbours that claim have what they were guaranteed, and the borrower lives', async (context) => {
    context.diagnostic(`seed ${seed}`);
    for (let round = 0; round < trials; round += 1) {
      const trial = await world.trial(seed + round);
      context.diagnostic(JSON.stringify(trial));
      assert.ok(trial.borrowerKills === 0 || world.mayLose, `seed ${trial.seed}: killed in the borrower although there is swap`);
      await world.settled();
    }
  });

  test('what was taken back is told of with numbers', async () => {
    await world.tenTimes();
    await world.settled();
    for (const { detail } of await eventsSoon(world.borrower, 'governor.reclaimed')) {
      assert.equal(detail['guaranteeMib'], world.borrower.resources.memoryMib);
      assert.ok(Number(detail['reclaimedMib']) > 0);
    }
    for (const neighbour of world.neighbours) assert.deepEqual(await eventsOf(neighbour, 'governor.reclaimed'), [], 'nothing is taken within a guarantee');
  });

  test('what of a machine is in swap is in its usage, and why tells of it', async () => {
    using held = new DisposableStack();
    const taker = held.use(await MemoryTaker.at(world.borrower.address));
    await taker.take('own', 640);
    for (const { address, resources } of world.neighbours) await held.use(await MemoryTaker.at(address)).take('own', resources.memoryMib - 12);
    const usage = () => services.agent.machineUsage(world.borrower.id);
    await until('it is swapped', async () => (await usage()).swapMib > 50);
    const { swapMib, memoryMib } = await usage();
    assert.ok(swapMib + memoryMib > 640 && swapMib + memoryMib < 700, `${memoryMib} and ${swapMib} MiB`);
    const told = await instance.must('why', world.borrower.name);
    assert.match(told, /^- slow: \d+M of its memory is in swap: .* beyond its guarantee of 64M: cenote resize borrower --memory SIZE$/m);
    held.dispose();
    await world.settled();
  });

  test("what a borrower holds of the kernel's own comes back with processes of it, and nothing of those that claim is swapped", async (context) => {
    const trial = await world.tenTimes('sockets', 'shared');
    context.diagnostic(JSON.stringify(trial));
    assert.equal(trial.borrowerLost, 1);
    assert.ok(trial.swappedMib < 40, `${trial.swappedMib} MiB of those that claimed are swapped`);
    const [event] = await eventsSoon(world.borrower, 'governor.killed');
    assert.ok(Number(event?.detail['swapFreeMib']) > 0);
    assert.equal(typeof event?.detail['pressure'], hostPressure() === null ? 'object' : 'number');
    await world.settled();
  });

  test('files in memory that neighbours claim are not swapped in place of what is borrowed', async (context) => {
    const barred = () => world.neighbours.map(({ id }) => isBarredFromSwap(instance.instance, id)).filter((is) => is !== false);
    let wasBarred = false;
    let swappedMib = 0;
    using watching = new DisposableStack();
    watching.adopt(
      setInterval(() => (wasBarred ||= barred().length > 0), 10),
      clearInterval,
    );
    for (let round = 0; round < trials; round += 1) {
      const trial = await world.tenTimes(round % 2 === 0 ? 'own' : 'shared', 'shared');
      context.diagnostic(JSON.stringify(trial));
      assert.equal(trial.borrowerKills + trial.borrowerLost, 0);
      swappedMib += trial.swappedMib;
      await world.settled();
    }
    assert.ok(swappedMib < 4 * trials, `${swappedMib} MiB of those that claimed are swapped in ${trials} times`);
    assert.ok(wasBarred);
    await until('they may be swapped again rather than killed', () => !barred().includes(true));
  });

  test('an agent that is killed in a claim leaves guarantees standing, and the next one goes on', async (context) => {
    for (let round = 0; round < deaths; round += 1) {
      const trial = await governorDies(world, instance, services, seed + round);
      context.diagnostic(JSON.stringify(trial));
      assert.ok(trial.borrowerKills === 0 || world.mayLose, `seed ${seed + round}: killed in the borrower although there is swap`);
    }
  });

  const noneWithin = async () => {
    for (const neighbour of world.neighbours)
      for (const type of ['governor.killed', 'machine.oom']) assert.deepEqual(await eventsOf(neighbour, type), [], 'nothing is killed within a guarantee');
  };

  const scores = async () => (await services.agent.machineList()).map(({ pid }) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')));

  test('where no swap is left it is the borrower that is killed in', async (context) => {
    const told = async () => (await eventsOf(world.borrower, 'governor.killed')).length + (await eventsOf(world.borrower, 'machine.oom')).length;
    // Some claims are met by cache alone: until one is not.
    for (let round = 0; round < deaths || ((await told()) === 0 && round < 12); round += 1)
      context.diagnostic(JSON.stringify(await swapIsOut(world, seed + round)));
    world.withSwap();
    assert.ok((await told()) > 0);
    await noneWithin();
  });

  test('also without the agent', async (context) => {
    for (let round = 0; round < deaths; round += 1) {
      await swapIsOut(world, seed + round);
      context.diagnostic(JSON.stringify(await governorDies(world, instance, services, seed + round)));
    }
    world.withSwap();
    await noneWithin();
  });

  test('also when who borrows begins only then, and is many small processes; the next agent takes back what was set meanwhile', async (context) => {
    for (const one of growingSeeds)
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        world.withoutSwap();
        await sleep(seenMs);
        context.diagnostic(JSON.stringify(await governorDies(world, instance, services, one, signal)));
        await until('nobody is offered any more', async () => (await scores()).every((score) => score < 1000));
      }
    world.withSwap();
    await noneWithin();
  });

  test('also when the agent stands still and does not end; it goes on afterwards', async (context) => {
    for (const [index, one] of [...growingSeeds, seed, seed + 1].entries()) {
      world.withoutSwap();
      await sleep(seenMs);
      context.diagnostic(JSON.stringify(await governorStandsStill(world, instance, services, one, index < 3 ? 'before' : 'meanwhile')));
      await until('nobody is offered any more', async () => (await scores()).every((score) => score < 1000));
    }
    world.withSwap();
    await noneWithin();
  });

  test('a clock of the host that jumps in a claim changes nothing', async () => {
    await services.renewAgent({ NODE_OPTIONS: `--import=${resolve(import.meta.dirname, '../support/jumping-clock.mjs')}` });
    for (const round of [0, 1]) {
      const jump = async (below: (limit: number) => number): Promise<void> => {
        await sleep(below(100));
        process.kill(services.pidOf('agent'), 'SIGWINCH');
      };
      const trial = await world.trial(seed + round, { meanwhile: jump });
      assert.ok(trial.borrowerKills === 0 || world.mayLose, `seed ${seed + round}: killed in the borrower although there is swap`);
      await world.settled();
    }
    await services.renewAgent();
  });

  test('machines are killed before the agent when the whole host runs out', async () => {
    const { pid } = (await services.agent.machineList())[0]!;
    const score = (of: number | null): number => Number(readFileSync(`/proc/${of}/oom_score_adj`, 'utf8'));
    assert.ok(score(pid) > score(services.pidOf('agent')));
  });

  test('what the kernel kills at a ceiling is told of, and concerns nobody else', async () => {
    const resources = { cpuMillis: 5, memoryMib: 16, memoryCeilingMib: 48, diskMib: 16 };
    const { machine } = await services.control.machineCreate({ name: 'greedy', command: memoryMachineCommand, resources, stopGraceSeconds: 1 }, { wait: 60 });
    const others = [world.borrower, ...world.neighbours];
    const before = others.map((other) => kernel(other).kills);
    using taker = await MemoryTaker.at(machine!.address);
    await assert.rejects(taker.take('own', 200));
    const told = await eventsSoon(machine!, 'machine.oom');
    assert.equal(told[0]!.detail['ceilingMib'], 48);
    assert.equal(told[0]!.detail['kills'], 1);
    assert.equal((await services.agent.machineList()).find(({ id }) => id === machine!.id)?.state, 'running', 'its first process lives');
    assert.deepEqual(
      others.map((other) => kernel(other).kills),
      before,
    );
    await services.control.machineDelete(machine!.id, { wait: 60 });
  });

  test('a machine with a bank bursts until it is empty, whatever is started anew', async () => {
    const resources = { cpuMillis: 5, cpuCeilingMillis: 1000, burst: { baselineMillis: 10, burstSeconds: 1 }, memoryMib: 16, diskMib: 32 };
    const { machine } = await services.control.machineCreate(
      { name: 'metered', command: ['/bin/sleep', '1000000'], resources, stopGraceSeconds: 1 },
      { wait: 60 },
    );
    const burst = async () => (await services.agent.machineUsage(machine!.id)).burst;
    await until('its bank is open', async () => (await burst()) !== undefined);
    assert.equal((await burst())?.effectiveCeilingMillis, 1000);
    const busy = instance.cenote('exec', 'metered', '--', '/usr/bin/timeout', '30', '/bin/sh', '-c', 'while :; do :; done');
    await until('its bank is empty', async () => (await burst())?.effectiveCeilingMillis === 10);
    const [event] = await eventsSoon(machine!, 'governor.throttled');
    assert.equal(event?.detail['toMillis'], 10);
    // A resize in between writes the ceiling anew; the bank is as empty as it was.
    await services.control.machineResize(machine!.id, { resources: { cpuMillis: 6 } }, { wait: 60 });
    await sleep(1500);
    assert.equal((await burst())?.effectiveCeilingMillis, 10);
    // A hundredth of a full bank is paid in a second. As it is when the agent is stopped, killed, or the machine itself starts anew.
    const balance = async () => (await burst())!.bankSeconds;
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await services.stop('agent', signal);
      assert.equal(await services.startAgent(), true);
      await services.reachable();
      await until('its bank is open', async () => (await burst()) !== undefined);
      assert.ok((await balance()) < 0.5 && (await burst())?.effectiveCeilingMillis === 10, signal);
    }
    await services.control.machineStop(machine!.id, {}, { wait: 60 });
    await busy;
    await services.control.machineStart(machine!.id, { wait: 60 });
    await until('its bank is open', async () => (await burst()) !== undefined);
    assert.ok((await balance()) < 0.8, 'a start of the machine does not fill it');
    await services.control.machineDelete(machine!.id, { wait: 60 });
  });
});
