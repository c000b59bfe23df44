/** The loop around the core: what was decided is done with what is true by then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../base/logger.ts';
import { Semaphore } from '../../base/semaphore.ts';
import { completeResources } from '../../model/default-resources.ts';
import type { PoolMemory } from '../../host/cgroup/pool-memory.ts';
import { Governor } from './governor.ts';
import type { GovernedMachine } from './governor.ts';

const mib = 2 ** 20;

/** Of one machine, whose use is what it is said to be. */
const memoryOf = (usedBytes: () => number, limitBytes: () => number): PoolMemory => ({
  totals: () => ({ limitBytes: 1024 * mib, usedBytes: usedBytes() + 10 * mib, swapLeftBytes: 1024 * mib }),
  read: () => ({ usedBytes: usedBytes(), limitBytes: limitBytes() }),
  takeable: () => 0,
  peak: () => null,
  kills: () => 0,
  limit: () => Promise.resolve(),
  protect: () => {},
  allowSwap: () => Promise.resolve(),
  offer: () => Promise.resolve(),
  leftover: () => ({ isSwapHeld: false, isOffered: false }),
  reclaim: () => Promise.resolve({ freedBytes: 0, leftBytes: 0 }),
  kill: () => Promise.resolve([]),
});

const governed = (memory: PoolMemory, machine: () => GovernedMachine, others: readonly GovernedMachine[] = []): Governor =>
  new Governor({
    memory,
    mostBytes: () => Infinity,
    readHost: () => ({ availableBytes: Infinity, swapFreeBytes: Infinity }),
    readHostKills: () => 0,
    machines: () => [machine(), ...others],
    find: (id) => [machine(), ...others].find((one) => one.id === id),
    listener: { report: () => {}, killed: () => {}, ranOut: () => {} },
    tuning: { cpus: 2, hostFloorBytes: 0 },
    keepTurn: () => true,
    logger: createLogger({ name: 'test', level: 'fatal' }),
  });

/** Of a CPU. */
const work = (ms: number): void => {
  const used = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  for (const end = used() + ms; used() < end;);
};

test('a look that takes long because others have the CPU does not put off the next', async () => {
  let looks = 0;
  const memory: PoolMemory = {
    ...memoryOf(
      // What is used changes by so much that another look is worth while.
      () => (looks % 2 === 0 ? 20 : 400) * mib,
      () => 1024 * mib,
    ),
    read: () => {
      looks += 1;
      // Waited for, not worked.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      return { usedBytes: 20 * mib, limitBytes: 1024 * mib };
    },
  };
  const resources = completeResources({ cpuMillis: 10, memoryMib: 64, diskMib: 64 });
  const machine: GovernedMachine = { id: 'm', name: 'm', resources, limits: new Semaphore(1) };
  await using _governor = governed(memory, () => machine);
  await sleep(1500);
  assert.ok(looks >= 3, `${looks} looks`);
});

test('who swings around the guarantee with many processes is not offered all the time', async () => {
  const offers: boolean[] = [];
  const used = () => (Math.floor(performance.now() / 50) % 2 === 0 ? 20 : 104);
  const memory: PoolMemory = {
    ...memoryOf(
      () => used() * mib,
      () => 1024 * mib,
    ),
    read: (id) => ({ usedBytes: (id === 'm' ? used() : 10) * mib, limitBytes: 1024 * mib }),
    // As much as a thousand processes take.
    offer: async (_machine, isOffered) => {
      offers.push(isOffered);
      work(15);
    },
  };
  const resources = completeResources({ cpuMillis: 10, memoryMib: 64, diskMib: 64 });
  const machine: GovernedMachine = { id: 'm', name: 'm', resources, limits: new Semaphore(1) };
  // Somebody may claim.
  await using _governor = governed(memory, () => machine, [{ ...machine, id: 'n', limits: new Semaphore(1) }]);
  for (const deadline = performance.now() + 20_000; offers.length === 0; await sleep(5)) assert.ok(performance.now() < deadline, 'it is never offered');
  await sleep(1500);
  assert.ok(offers.length <= 3, `${offers.length} times`);
});

test('a ceiling that is changed while the governor lets go is the one that holds', async () => {
  let limitBytes = 100 * mib;
  const written: number[] = [];
  const memory: PoolMemory = {
    ...memoryOf(
      () => 50 * mib,
      () => limitBytes,
    ),
    limit: (_machine, { bytes }) => {
      written.push(bytes / mib);
      limitBytes = bytes;
      return Promise.resolve();
    },
  };
  const resources = completeResources({ cpuMillis: 10, memoryMib: 16, memoryCeilingMib: 384, diskMib: 64 });
  let machine: GovernedMachine = { id: 'm', name: 'm', resources, limits: new Semaphore(1) };
  const resizing = await machine.limits.acquire();
  await using _governor = governed(memory, () => machine);
  // It has seen a limit below the ceiling of 384 MiB and wants to lift it; the resize is under way.
  await sleep(60);
  assert.deepEqual(written, []);
  machine = { ...machine, resources: { ...resources, memoryCeilingMib: 128 } };
  limitBytes = 128 * mib;
  resizing[Symbol.dispose]();
  await sleep(60);
  assert.deepEqual(
    written.filter((each) => each !== 128),
    [],
  );
});
