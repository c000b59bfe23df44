import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../../base/logger.ts';
import { Semaphore } from '../../base/semaphore.ts';
import { readHostTime } from '../../host/metrics/host-clock.ts';
import { completeResources } from '../../model/default-resources.ts';
import type { Resources } from '../../model/resources.ts';
import type { GovernedMachine } from './governor.ts';
import { CpuMeter } from './meter.ts';

test('a quota is not written while a resize is under way, which may end the metering', async () => {
  const plain = completeResources({ cpuMillis: 100, memoryMib: 16, diskMib: 64 });
  const metered: Resources = { ...plain, burst: { baselineMillis: 200, burstSeconds: 1 } };
  let machine: GovernedMachine = { id: 'm', name: 'm', resources: metered, limits: new Semaphore(1) };
  let cpuSeconds = 0;
  let quotaMillis: number | null = null;
  const written: (number | null)[] = [];
  await using _meter = new CpuMeter({
    cpu: {
      read: () => ({ cpuSeconds: (cpuSeconds += 100), quotaMillis }),
      setQuota: (_, millis) => {
        quotaMillis = millis;
        written.push(millis);
      },
    },
    cpus: 2,
    machines: [machine],
    find: () => machine,
    record: { loadBanks: () => new Map(), saveBanks: async () => {} },
    readHostTime,
    listener: { emptied: () => {} },
    logger: createLogger({ name: 'test', level: 'fatal' }),
  });
  await sleep(1100);
  assert.deepEqual(written, [200], 'its bank is empty');
  {
    using _resizing = await machine.limits.acquire();
    quotaMillis = null; // as the resize wrote it
    await sleep(1100);
    machine = { ...machine, resources: plain };
  }
  await sleep(1100);
  assert.deepEqual(written, [200]);
  assert.equal(quotaMillis, null);
});

/** Many with a bank, on a clock of the test's own, and what was read of whom since it was last asked. */
const meterOf = (count: number, burstSeconds: number) => {
  const plain = completeResources({ cpuMillis: 100, memoryMib: 16, diskMib: 64 });
  const resources: Resources = { ...plain, burst: { baselineMillis: 200, burstSeconds } };
  const machines = new Map(
    Array.from({ length: count }, (_, index): [string, GovernedMachine] => [`m${index}`, { id: `m${index}`, name: 'm', resources, limits: new Semaphore(1) }]),
  );
  const used = new Map<string, number>();
  let reads: string[] = [];
  const meter = new CpuMeter({
    cpu: {
      read: (id) => {
        reads.push(id);
        return { cpuSeconds: used.get(id) ?? 0, quotaMillis: null };
      },
      setQuota: () => {},
    },
    cpus: 2,
    machines: machines.values(),
    find: (id) => machines.get(id),
    record: { loadBanks: () => new Map(), saveBanks: async () => {} },
    readHostTime,
    listener: { emptied: () => {} },
    logger: createLogger({ name: 'test', level: 'fatal' }),
  });
  const takeReads = (): string[] => {
    const taken = reads;
    reads = [];
    return taken;
  };
  /** Each once, and once more to see that it idles. */
  const settled = async (): Promise<void> => {
    while (reads.length < 2 * count) await sleep(20);
    takeReads();
  };
  return { meter, machines, used, takeReads, settled };
};

test('of a thousand that idle a hundred are looked at in a second, each in its turn', async () => {
  const { meter, takeReads, settled } = meterOf(1000, 60);
  await using _meter = meter;
  await settled();
  await sleep(3050);
  const read = takeReads();
  assert.ok(read.length >= 200 && read.length <= 400, `${read.length} reads in three seconds`);
  assert.equal(new Set(read).size, read.length, 'none twice');
});

test('one that works is looked at every second from the round that finds it on; one that changes at once', async () => {
  const { meter, used, takeReads, settled } = meterOf(300, 60);
  await using _meter = meter;
  await settled();
  const works = setInterval(() => used.set('m150', (used.get('m150') ?? 0) + 0.1), 100);
  await sleep(4000);
  takeReads();
  await sleep(3050);
  clearInterval(works);
  assert.ok(takeReads().filter((id) => id === 'm150').length >= 2);
  for (let index = 0; index < 3; index += 1) {
    meter.attend('m299');
    await sleep(1900);
    assert.ok(takeReads().includes('m299'));
  }
});

test('a bank that a round could see too late is looked at every second', async () => {
  const { meter, takeReads, settled } = meterOf(300, 5);
  await using _meter = meter;
  await settled();
  await sleep(2050);
  assert.ok(takeReads().length >= 300);
});

test('what has no bank any more, and what is gone, costs nothing', async () => {
  const { meter, machines, takeReads } = meterOf(2, 60);
  await using _meter = meter;
  machines.delete('m0');
  const { resources } = machines.get('m1')!;
  machines.set('m1', { ...machines.get('m1')!, resources: { ...resources, burst: null } });
  meter.attend('m0');
  meter.attend('m1');
  await sleep(1100);
  takeReads();
  await sleep(1100);
  assert.deepEqual(takeReads(), []);
  assert.equal(meter.usage({ id: 'm0', resources }), null);
});
