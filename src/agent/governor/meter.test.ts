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
    machines: () => [machine],
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
