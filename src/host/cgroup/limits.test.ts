/** Limits over control files that keep the kernel's rules, and fail at any write. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultResources } from '../../model/default-resources.ts';
import type { Resources } from '../../model/resources.ts';
import type { ControlFiles } from './files.ts';
import { lookAtDisk, unsupportedIo } from './io.ts';
import type { IoDisk } from './io.ts';
import { applyV1 } from './limits-v1.ts';
import { applyV2 } from './limits-v2.ts';
import { cpuShares, cpuWeight, machineWeight } from './settings.ts';

const mib = 2 ** 20;
const poolMib = 4096;
const disk: IoDisk = { number: '7:3', weights: 'bfq' };
const groups = { memory: '/memory/a', cpu: '/cpu/a', pids: '/pids/a', blkio: '/blkio/a' };

class KernelError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Numbers as the kernel has them: it refuses what it would refuse, and nobody may be killed by a limit. */
class Kernel implements ControlFiles {
  readonly values = new Map<string, string>();
  usedMib = 0;
  /** What of it could be reclaimed. */
  cacheMib = 0;
  kills = 0;
  /** The write that fails, counted from now; each is one step. */
  failAt = Infinity;

  find(directory: string, file: string): string | null {
    if (file.includes('usage') || file === 'memory.current') return String(this.usedMib * mib);
    if (file === 'memory.stat')
      return `anon ${(this.usedMib - this.cacheMib) * mib}\nfile ${this.cacheMib * mib}\ntotal_rss ${(this.usedMib - this.cacheMib) * mib}`;
    return this.values.get(`${directory}/${file}`) ?? null;
  }

  read(directory: string, file: string): string {
    const value = this.find(directory, file);
    if (value === null) throw new KernelError('ENOENT');
    return value;
  }

  write(directory: string, file: string, value: string | number): void {
    if (this.failAt-- === 0) throw new KernelError('EIO');
    const path = `${directory}/${file}`;
    const text = String(value);
    const amount = Number(text);
    if (file === 'memory.reclaim') {
      const target = this.usedMib - amount / mib;
      this.#reclaim(target);
      if (this.usedMib > target) throw new KernelError('EAGAIN');
      return;
    }
    if (!this.values.has(path)) throw new KernelError('ENOENT');
    if (/^memory\.(memsw\.)?limit/.test(file)) {
      const bytes = amount === -1 ? Infinity : amount;
      const other = Number(this.values.get(`${directory}/memory.${file.includes('memsw') ? '' : 'memsw.'}limit_in_bytes`));
      if (file.includes('memsw') ? bytes < other : bytes > other) throw new KernelError('EINVAL');
      this.#reclaim(bytes / mib);
      if (this.usedMib * mib > bytes) throw new KernelError('EBUSY');
    }
    if (file === 'memory.max' && amount < this.usedMib * mib) this.kills++;
    if (file.startsWith('blkio.throttle')) this.values.set(path, amountOf(text) === 0 ? '' : text);
    else if (file === 'io.max') this.values.set(path, /=\d/.test(text) ? text : '');
    else if (file === 'io.bfq.weight') this.values.set(path, `default ${text}`);
    else this.values.set(path, text);
  }

  writeSlowly(directory: string, file: string, value: string | number): Promise<void> {
    return Promise.try(() => this.write(directory, file, value));
  }

  #reclaim(targetMib: number): void {
    const freed = Math.min(this.cacheMib, Math.max(0, this.usedMib - targetMib));
    this.cacheMib -= freed;
    this.usedMib -= freed;
  }
}

const amountOf = (text: string): number => Number(text.split(' ')[1]);

const kernelV1 = (): Kernel => {
  const kernel = new Kernel();
  for (const [path, value] of Object.entries({
    '/memory/a/memory.limit_in_bytes': String(poolMib * mib),
    '/memory/a/memory.memsw.limit_in_bytes': String(poolMib * mib),
    '/memory/a/memory.soft_limit_in_bytes': '9223372036854771712',
    '/cpu/a/cpu.shares': '1024',
    '/cpu/a/cpu.cfs_period_us': '100000',
    '/cpu/a/cpu.cfs_quota_us': '-1',
    '/pids/a/pids.max': 'max',
    '/blkio/a/blkio.throttle.read_bps_device': '',
    '/blkio/a/blkio.throttle.read_iops_device': '',
    '/blkio/a/blkio.bfq.weight': '100',
  }))
    kernel.values.set(path, value);
  return kernel;
};

const kernelV2 = (): Kernel => {
  const kernel = new Kernel();
  for (const [file, value] of Object.entries({
    'memory.max': 'max',
    'memory.high': 'max',
    'memory.swap.max': 'max',
    'memory.min': '0',
    'cpu.weight': '100',
    'cpu.max': 'max 100000',
    'pids.max': 'max',
    'io.max': '',
    'io.bfq.weight': 'default 100',
  }))
    kernel.values.set(`/a/${file}`, value);
  return kernel;
};

const orNone = (range: { min: number; max: number }) => fc.option(fc.integer(range), { nil: null });
const resources: fc.Arbitrary<Resources> = fc.record({
  cpuMillis: fc.integer({ min: 1, max: 8000 }),
  cpuCeilingMillis: orNone({ min: 10, max: 8000 }),
  burst: fc.constant(null),
  memoryMib: fc.integer({ min: 4, max: 512 }),
  memoryCeilingMib: orNone({ min: 4, max: 8192 }),
  diskMib: fc.constant(1024),
  processes: fc.integer({ min: 4, max: 10_000 }),
  ioWeight: fc.integer({ min: 1, max: 1000 }),
  ioReadMibps: orNone({ min: 1, max: 1000 }),
  ioWriteMibps: fc.constant(null),
  ioReadIops: orNone({ min: 1, max: 1000 }),
  ioWriteIops: fc.constant(null),
  networkMbps: fc.constant(0),
  networkCeilingMbps: fc.constant(null),
});

interface Step {
  to: Resources;
  usedMib: number;
  cacheMib: number;
  failAt: number | null;
}
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ to: resources, usedMib: fc.integer({ min: 0, max: 1000 }), cacheMib: fc.integer({ min: 0, max: 1000 }), failAt: orNone({ min: 0, max: 14 }) }),
  { minLength: 1, maxLength: 12 },
);

const limitOf = ({ memoryCeilingMib }: Resources): number => Math.min(memoryCeilingMib ?? poolMib, poolMib) * mib;

const expectedV1 = (to: Resources): Record<string, string> => ({
  '/memory/a/memory.limit_in_bytes': String(limitOf(to)),
  '/memory/a/memory.memsw.limit_in_bytes': String(limitOf(to)),
  '/memory/a/memory.soft_limit_in_bytes': String(to.memoryMib * mib),
  '/cpu/a/cpu.shares': String(cpuShares(to)),
  '/cpu/a/cpu.cfs_period_us': '100000',
  '/cpu/a/cpu.cfs_quota_us': String(to.cpuCeilingMillis === null ? -1 : to.cpuCeilingMillis * 100),
  '/pids/a/pids.max': String(to.processes),
  '/blkio/a/blkio.throttle.read_bps_device': to.ioReadMibps === null ? '' : `7:3 ${to.ioReadMibps * mib}`,
  '/blkio/a/blkio.throttle.read_iops_device': to.ioReadIops === null ? '' : `7:3 ${to.ioReadIops}`,
  '/blkio/a/blkio.bfq.weight': String(to.ioWeight),
});

const expectedV2 = (to: Resources): Record<string, string> => ({
  '/a/memory.max': String(limitOf(to)),
  '/a/memory.high': 'max',
  '/a/memory.swap.max': String(limitOf(to)),
  '/a/memory.min': String(to.memoryMib * mib),
  '/a/cpu.weight': String(cpuWeight(to)),
  '/a/cpu.max': `${to.cpuCeilingMillis === null ? 'max' : to.cpuCeilingMillis * 100} 100000`,
  '/a/pids.max': String(to.processes),
  '/a/io.max':
    to.ioReadMibps === null && to.ioReadIops === null
      ? ''
      : `7:3 rbps=${to.ioReadMibps === null ? 'max' : to.ioReadMibps * mib} wbps=max riops=${to.ioReadIops ?? 'max'} wiops=max`,
  '/a/io.bfq.weight': `default ${to.ioWeight}`,
});

for (const { name, make, apply, expected } of [
  {
    name: 'v1',
    make: kernelV1,
    apply: (kernel: Kernel, to: Resources, former: Resources | null) => applyV1(kernel, groups, { resources: to, former, poolMib, disk }),
    expected: expectedV1,
  },
  {
    name: 'v2',
    make: kernelV2,
    apply: (kernel: Kernel, to: Resources, former: Resources | null) => applyV2(kernel, '/a', { resources: to, former, poolMib, disk }),
    expected: expectedV2,
  },
]) {
  test(`${name}: all limits are set, or all are as before, and nobody is killed`, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (walk) => {
        const kernel = make();
        let known: Resources | null = null;
        for (const { to, usedMib, cacheMib, failAt } of walk) {
          const before = Object.fromEntries(kernel.values);
          const roomMib = Number(kernel.find('/memory/a', 'memory.limit_in_bytes') ?? kernel.values.get('/a/memory.max')) / mib;
          kernel.usedMib = Number.isNaN(roomMib) ? usedMib : Math.min(usedMib, roomMib);
          kernel.cacheMib = Math.min(cacheMib, kernel.usedMib);
          kernel.failAt = failAt ?? Infinity;
          const failed: (Error & { code: string }) | null = await apply(kernel, to, known).then(
            () => null,
            (error: unknown) => error as Error & { code: string },
          );
          kernel.failAt = Infinity;
          assert.equal(kernel.kills, 0);
          assert.deepEqual(Object.fromEntries(kernel.values), failed === null ? expected(to) : before);
          known = failed === null ? to : null;
          // Without swap on this host the floor is known before any cache is dropped; with it, what is left when all is.
          const floorMib = kernel.usedMib - kernel.cacheMib;
          if (failed?.code === 'not_enough') assert.match(failed.message, new RegExp(`below ${floorMib}M, .*; ${limitOf(to) / mib}M was asked for`));
        }
      }),
      { numRuns: 300 },
    );
  });
}

test('v2: a hold that a killed agent has left is let go', async () => {
  const kernel = kernelV2();
  kernel.values.set('/a/memory.high', String(16 * mib));
  await applyV2(kernel, '/a', { resources: defaultResources, former: null, poolMib, disk });
  assert.equal(kernel.values.get('/a/memory.high'), 'max');
});

test('what the disk cannot do is said, each with its reason', () => {
  assert.deepEqual(unsupportedIo(disk, 'v2', true), []);
  const fields = (list: { field: string }[]) => list.map(({ field }) => field);
  assert.deepEqual(fields(unsupportedIo(disk, 'v1', true)), ['ioWriteMibps', 'ioWriteIops']);
  assert.deepEqual(fields(unsupportedIo({ number: '8:0', weights: null }, 'v2', true)), ['ioWeight']);
  for (const nothing of [unsupportedIo(null, 'v2', true), unsupportedIo(disk, 'v2', false)]) assert.equal(nothing.length, 5);
  assert.equal(lookAtDisk(null, '/nowhere', null), null);
  assert.deepEqual(lookAtDisk('0:0', '/nowhere', '/nowhere'), { number: '0:0', weights: null });
});

test('weights are in the ratio of the guarantees, small ones too, on a host of any size', () => {
  for (const millis of [1, 5, 15, 1000, 9999]) assert.equal(machineWeight(millis, 10), millis);
  const guarantee = fc.integer({ min: 1, max: 512 }).chain((cpus) => fc.record({ cpus: fc.constant(cpus), millis: fc.integer({ min: 1, max: cpus * 1000 }) }));
  fc.assert(
    fc.property(guarantee, ({ cpus, millis }) => {
      const weight = machineWeight(millis, cpus);
      const least = Math.max(1, cpus / 10);
      assert.ok(weight >= 1 && weight <= 10_000);
      // Rounded by half of the least that there is; who has less has that.
      assert.ok(Math.abs(weight * least - Math.max(millis, least)) <= least / 2 + 1e-6);
    }),
  );
});
