/** The laws, tried on a model of the kernel with seeds: growth as fast as the CPUs can fill memory, claims at any moment, deaths of the governor. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide, freshState } from './decide.ts';
import { ModelKernel, stepMs, usedBy } from './model-kernel.ts';
import type { ModelMachine } from './model-kernel.ts';
import type { Outcome } from './types.ts';

const mib = 2 ** 20;
const cpus = 2;
const tuning = { cpus, hostFloorBytes: 0 };
/** What all CPUs together fill a millisecond. */
const fillPerMs = (cpus * 1.5 * 1024 * mib) / 1000;

const machine = (id: string, guaranteeMib: number, poolMib: number, change: Partial<ModelMachine> = {}): ModelMachine => ({
  id,
  guaranteeBytes: guaranteeMib * mib,
  ceilingBytes: poolMib * mib,
  limitBytes: poolMib * mib,
  ownBytes: mib,
  cacheBytes: 0,
  kernelBytes: 0,
  swapBytes: 0,
  protection: 'none',
  maySwap: true,
  isOffered: false,
  wantsBytes: mib,
  bytesPerMs: fillPerMs,
  cacheShare: 0,
  kernelShare: 0,
  processBytes: Infinity,
  ...change,
});

const world = (poolMib: number, swapMib: number, machines: ModelMachine[]) =>
  new ModelKernel({ poolBytes: poolMib * mib, swapBytes: swapMib * mib, machines, tuning });

/** Any number may want anything at any time; together they grow no faster than the CPUs can fill. */
const steps = fc.array(
  fc.record({
    who: fc.nat(7),
    wantsMib: fc.oneof(fc.integer({ min: 1, max: 256 }), fc.integer({ min: 256, max: 4096 })),
    cacheShare: fc.constantFrom(0, 0, 0.3, 1),
    ms: fc.integer({ min: 2, max: 400 }),
    /** For how long there is no governor; null when it does not die. */
    deadMs: fc.oneof(fc.constant(null), fc.constant(null), fc.constant(0), fc.integer({ min: 2, max: 600 })),
  }),
  { minLength: 5, maxLength: 40 },
);
const hosts = fc.record({
  poolMib: fc.constantFrom(1024, 4096, 24_576),
  guaranteesMib: fc.array(fc.integer({ min: 4, max: 256 }), { minLength: 2, maxLength: 8 }),
  processMib: fc.constantFrom(Infinity, 4, 40),
  steps,
});

const live = (kernel: ModelKernel, all: readonly { who: number; wantsMib: number; cacheShare: number; ms: number; deadMs: number | null }[]): void => {
  for (const { who, wantsMib, cacheShare, ms, deadMs } of all) {
    const one = kernel.machines[who % kernel.machines.length]!;
    one.wantsBytes = wantsMib * mib;
    one.cacheShare = cacheShare;
    const growing = kernel.machines.filter((other) => other.wantsBytes > usedBy(other) + other.swapBytes).length;
    for (const other of kernel.machines) other.bytesPerMs = fillPerMs / Math.max(1, growing);
    kernel.run(ms);
    if (deadMs === null) continue;
    kernel.run(deadMs, { isGoverned: false });
    kernel.restartGovernor();
  }
};
const fits = (guaranteesMib: readonly number[], poolMib: number): number[] => {
  const total = guaranteesMib.reduce((sum, one) => sum + one, 0);
  return guaranteesMib.map((one) => (total <= poolMib ? one : Math.max(1, Math.floor((one * poolMib) / total))));
};

test('with swap nobody is killed, and nobody is swapped or taken from within the guarantee', () => {
  fc.assert(
    fc.property(hosts, ({ poolMib, guaranteesMib, processMib, steps: all }) => {
      const kernel = world(
        poolMib,
        poolMib * 64,
        fits(guaranteesMib, poolMib).map((guarantee, index) => machine(`m${index}`, guarantee, poolMib, { processBytes: processMib * mib })),
      );
      live(kernel, all);
      assert.deepEqual(kernel.violations, []);
      assert.deepEqual(kernel.kills, []);
    }),
    { numRuns: 300 },
  );
});

test('with swap nobody is killed at a ceiling of its own either, however near it is', () => {
  fc.assert(
    fc.property(hosts, fc.array(fc.integer({ min: 0, max: 512 }), { minLength: 8, maxLength: 8 }), ({ poolMib, guaranteesMib, steps: all }, aboveMib) => {
      const machines = fits(guaranteesMib, poolMib).map((guarantee, index) => {
        const ceilingBytes = Math.min(guarantee + aboveMib[index]!, poolMib) * mib;
        return machine(`m${index}`, guarantee, poolMib, { ceilingBytes, limitBytes: ceilingBytes });
      });
      const kernel = world(poolMib, poolMib * 64, machines);
      live(kernel, all);
      assert.deepEqual(kernel.kills, []);
    }),
    { numRuns: 300 },
  );
});

const barredOf = (kernel: ModelKernel): string[] => kernel.machines.flatMap(({ id, protection }) => (protection === 'barred' ? [id] : []));

test('who claims is barred from swap until all is met, and spared again then', () => {
  const claims = machine('claims', 400, 1024, { bytesPerMs: fillPerMs / 8 });
  const kernel = world(1024, 4096, [machine('large', 64, 1024, { wantsBytes: 900 * mib }), machine('idle', 100, 1024), claims]);
  kernel.run(1000);
  assert.deepEqual(barredOf(kernel), []);
  claims.wantsBytes = 390 * mib;
  kernel.run(400);
  assert.deepEqual(barredOf(kernel), ['idle', 'claims']);
  kernel.run(4000);
  assert.equal(usedBy(claims), 390 * mib);
  assert.deepEqual(
    kernel.machines.map(({ protection }) => protection),
    ['none', 'spared', 'spared'],
  );
});

test('what a borrower gives back below its guarantee is kept free for it at once', () => {
  const [back, large] = [machine('back', 211, 1024, { wantsBytes: 374 * mib }), machine('large', 4, 1024, { wantsBytes: 368 * mib })];
  const kernel = world(1024, 4096, [back, large]);
  kernel.run(300);
  large.wantsBytes = 1000 * mib;
  kernel.run(300);
  back.wantsBytes = 150 * mib;
  kernel.run(400);
  assert.equal(kernel.state.unclaimedBytes, 61 * mib);
  assert.ok(kernel.usedBytes <= (1024 - 61) * mib, `${kernel.usedBytes / mib} MiB are used`);
  back.wantsBytes = 211 * mib;
  kernel.run(3000);
  assert.equal(usedBy(back), 211 * mib);
  assert.deepEqual(kernel.violations, []);
});

test('a guarantee that was made larger since the last look at all is unclaimed, and takes nothing from what others may claim', () => {
  const grows = machine('grows', 64, 4096, { wantsBytes: 600 * mib });
  const kernel = world(4096, 8192, [grows, machine('idle', 200, 4096), machine('large', 64, 4096, { wantsBytes: 3200 * mib })]);
  kernel.run(2000);
  grows.guaranteeBytes = 1400 * mib;
  for (let round = 0; round < 100; round += 1) {
    kernel.run(stepMs);
    assert.ok(kernel.state.unclaimedBytes >= 199 * mib, `${kernel.state.unclaimedBytes / mib} MiB after ${round} steps`);
  }
  assert.equal(kernel.state.unclaimedBytes, (199 + 800) * mib);
});

test('nobody is barred where there is nothing else to take', () => {
  const kernel = world(1024, 4096, [machine('one', 500, 1024), machine('other', 510, 1024)]);
  for (const one of kernel.machines) one.wantsBytes = one.guaranteeBytes;
  kernel.run(2000);
  assert.equal(kernel.state.isTight, true);
  assert.deepEqual(barredOf(kernel), []);
});

test("nobody is barred beside a borrower full of the kernel's own", () => {
  const barredBeside = (kernelShare: number): boolean => {
    const claims = machine('claims', 400, 1024, { bytesPerMs: fillPerMs / 8 });
    const kernel = world(1024, 4096, [machine('large', 64, 1024, { wantsBytes: 900 * mib, kernelShare }), claims]);
    kernel.run(1000);
    claims.wantsBytes = 390 * mib;
    let isBarred = false;
    for (const end = kernel.nowMs + 400; kernel.nowMs < end; isBarred ||= barredOf(kernel).length > 0) kernel.run(stepMs);
    return isBarred;
  };
  assert.deepEqual([0, 0.2, 0.5, 0.9, 1].map(barredBeside), [true, true, true, false, false]);
});

test('what a governor that died has barred the next one spares, also when there is plenty', () => {
  const kernel = world(1024, 4096, [machine('one', 100, 1024), machine('large', 64, 1024, { wantsBytes: 300 * mib })]);
  kernel.run(1000);
  for (const one of kernel.machines) one.protection = 'barred';
  kernel.restartGovernor();
  kernel.run(1000);
  assert.deepEqual(barredOf(kernel), []);
});

test('without swap nobody is killed within the guarantee', () => {
  fc.assert(
    fc.property(hosts, ({ poolMib, guaranteesMib, processMib, steps: all }) => {
      const kernel = world(
        poolMib,
        0,
        fits(guaranteesMib, poolMib).map((guarantee, index) => machine(`m${index}`, guarantee, poolMib, { processBytes: processMib * mib })),
      );
      live(kernel, all);
      assert.deepEqual(kernel.violations, []);
    }),
    { numRuns: 300 },
  );
});

test('with less swap than borrowers would need nobody is killed or swapped within the guarantee', () => {
  fc.assert(
    fc.property(hosts, fc.integer({ min: 16, max: 1024 }), ({ poolMib, guaranteesMib, processMib, steps: all }, swapMib) => {
      const kernel = world(
        poolMib,
        swapMib,
        fits(guaranteesMib, poolMib).map((guarantee, index) => machine(`m${index}`, guarantee, poolMib, { processBytes: processMib * mib })),
      );
      live(kernel, all);
      assert.deepEqual(kernel.violations, []);
    }),
    { numRuns: 300 },
  );
});

test('from a borrower full of what cannot be reclaimed, claims are met by kills in it alone, though there is swap', () => {
  const claims = fc.array(fc.record({ guaranteeMib: fc.integer({ min: 40, max: 200 }), afterMs: fc.nat(200) }), { minLength: 1, maxLength: 4 });
  /** Others that borrow a little, so little that nothing is taken of it. */
  const bystanders = fc.array(fc.integer({ min: 10, max: 3000 }), { maxLength: 40 });
  const borrowers = fc.record({
    wantsMib: fc.integer({ min: 600, max: 1000 }),
    kernelShare: fc.constantFrom(0.5, 0.9, 1),
    processMib: fc.constantFrom(Infinity, 4, 40),
  });
  fc.assert(
    fc.property(
      borrowers,
      claims,
      bystanders,
      fc.integer({ min: 1, max: 16 }),
      fc.boolean(),
      ({ wantsMib, kernelShare, processMib }, all, aboveKib, slowness, isGrowing) => {
        // What it has of its own is taken first: claims much faster than the kernel compresses would have swapped theirs meanwhile.
        const bytesPerMs = fillPerMs / (kernelShare === 1 ? slowness : Math.max(8, slowness));
        const borrower = machine('borrower', 64, 1024, { wantsBytes: wantsMib * mib, kernelShare, processBytes: processMib * mib });
        const neighbours = all.map(({ guaranteeMib }, index) => machine(`m${index}`, guaranteeMib, 1024, { bytesPerMs: bytesPerMs / all.length }));
        const small = aboveKib.map((kib, index) => machine(`small${index}`, 2, 1024, { wantsBytes: 2 * mib + kib * 1024 }));
        const kernel = world(1024, 4096, [borrower, ...small, ...neighbours]);
        kernel.run(isGrowing ? 300 : 2000);
        for (const [index, { afterMs }] of all.entries()) {
          kernel.run(afterMs);
          neighbours[index]!.wantsBytes = neighbours[index]!.guaranteeBytes;
        }
        kernel.run(8000);
        assert.deepEqual(kernel.violations, []);
        assert.deepEqual(
          kernel.kills.filter((id) => id !== 'borrower'),
          [],
        );
        for (const one of neighbours) assert.ok(Math.abs(usedBy(one) + one.swapBytes - one.guaranteeBytes) < 1, `${one.id} has what it claimed`);
      },
    ),
  );
});

test('without swap a claim is met by as many small processes as it takes, and they die faster than one after another', () => {
  const small = machine('small', 64, 1024, { wantsBytes: 840 * mib, processBytes: 8 * mib });
  const kernel = world(1024, 0, [small, machine('claims', 480, 1024)]);
  kernel.run(2000);
  Object.assign(kernel.machines[1]!, { wantsBytes: 470 * mib, bytesPerMs: fillPerMs / 4 });
  kernel.run(700);
  assert.deepEqual(kernel.violations, []);
  assert.equal(usedBy(kernel.machines[1]!), 470 * mib);
  // What is left is all but the reserve, and what the last process had too much.
  const reserveMib = 8 + 10;
  assert.ok(usedBy(small) >= (1024 - 470 - reserveMib - 8 - 1) * mib, `${usedBy(small) / mib} MiB are left`);
});

test('when a calm governor dies, the kernel knows who borrows', () => {
  const forked = Array.from({ length: 8 }, (_, index) => machine(`small${index}`, 8, 1024, { wantsBytes: 70 * mib }));
  const kernel = world(1024, 0, [...forked, machine('claims', 600, 1024)]);
  kernel.run(2000);
  assert.equal(kernel.state.isTight, false);
  kernel.machines.at(-1)!.wantsBytes = 590 * mib;
  kernel.run(2000, { isGoverned: false });
  assert.deepEqual(kernel.violations, []);
  assert.ok(kernel.kills.length > 0 && !kernel.kills.includes('claims'));
  for (const one of kernel.machines) one.wantsBytes = 4 * mib;
  kernel.restartGovernor();
  kernel.run(1000);
  assert.deepEqual(
    kernel.machines.filter(({ isOffered }) => isOffered),
    [],
  );
});

test('who begins to borrow in a small pool is known to the kernel long before it is all lent, as somebody might stop governing then', () => {
  const small = Array.from({ length: 8 }, (_, index) => machine(`small${index}`, 8, 1024, { bytesPerMs: fillPerMs / 8 }));
  const kernel = world(1024, 0, [...small, machine('claims', 600, 1024)]);
  kernel.run(1000);
  for (const one of small) one.wantsBytes = 100 * mib;
  // 240 MiB are borrowed by then, and all that is guaranteed is free.
  kernel.run(100);
  assert.ok(small.every(({ isOffered }) => isOffered));
  kernel.machines.at(-1)!.wantsBytes = 590 * mib;
  kernel.run(2000, { isGoverned: false });
  assert.deepEqual(kernel.violations, []);
  assert.ok(kernel.kills.length > 0 && !kernel.kills.includes('claims'));
});

test('while there is swap, a borrower is killed in only when nothing came of it for seconds, or nothing could', () => {
  const guaranteeBytes = 64 * mib;
  const ceilingBytes = 1024 * mib;
  const borrower = { id: 'borrower', usedBytes: 300 * mib, guaranteeBytes, ceilingBytes, limitBytes: ceilingBytes, takeableBytes: 0 };
  const killedAfterMs = (swapFreeBytes: number, freedBytes: number, { poolUsedBytes = 1021 * mib, leftBytes = Infinity } = {}): number => {
    let state = freshState;
    let outcomes: Outcome[] = [];
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 10) {
      const pool = { limitBytes: ceilingBytes, usedBytes: poolUsedBytes, swapLeftBytes: Infinity };
      const host = { availableBytes: 0, swapFreeBytes };
      const decision = decide(state, { look: 'all', pool, host, machines: [borrower], busy: new Map(), outcomes, lookCostMs: 0 }, nowMs, {
        cpus,
        hostFloorBytes: 72 * mib,
      });
      if (decision.actions.some((action) => action.do === 'kill')) return nowMs;
      outcomes = decision.actions.flatMap((action) =>
        action.do === 'reclaim' ? [{ machine: borrower.id, askedBytes: action.bytes, freedBytes, leftBytes }] : [],
      );
      state = decision.state;
    }
    return Infinity;
  };
  assert.ok(killedAfterMs(0, 0) < 100);
  assert.ok(killedAfterMs(445 * mib, 0) >= 3000 && killedAfterMs(445 * mib, 0) < 4000);
  assert.equal(killedAfterMs(445 * mib, 16 * mib), Infinity);
  // It is the host itself that has run short.
  assert.equal(killedAfterMs(445 * mib, 0, { poolUsedBytes: 320 * mib }), Infinity);
  assert.ok(killedAfterMs(445 * mib, 0, { leftBytes: 0 }) < 100);
  // The pool misses 5 MiB; that the host misses 80 is no reason not to wait for what it has.
  assert.ok(killedAfterMs(445 * mib, 0, { leftBytes: 50 * mib }) >= 3000);
});

test('on an idle host one machine has all of the pool but the floor, and is let go afterwards', () => {
  const poolMib = 1024;
  const kernel = world(poolMib, 0, [machine('busy', 64, poolMib, { wantsBytes: 1000 * mib })]);
  kernel.run(2000);
  assert.equal(usedBy(kernel.machines[0]!), 1000 * mib);
  kernel.machines[0]!.wantsBytes = 10 * mib;
  kernel.run(3000);
  assert.equal(kernel.machines[0]!.limitBytes, poolMib * mib);
  assert.equal(kernel.state.watched.size, 0);
});

test('a thousand idle machines are looked at once', () => {
  const kernel = world(
    8192,
    0,
    Array.from({ length: 1000 }, (_, index) => machine(`m${index}`, 4, 8192)),
  );
  kernel.run(60_000);
  assert.equal(kernel.looks.machines, 1000);
  assert.ok(kernel.looks.totals < 80, `${kernel.looks.totals} looks at the totals in a minute`);
});

test('what was taken is told of, with who claimed', () => {
  const kernel = world(1024, 4096, [machine('large', 64, 1024, { wantsBytes: 900 * mib }), machine('claims', 400, 1024, { bytesPerMs: fillPerMs / 8 })]);
  kernel.run(1000);
  kernel.machines[1]!.wantsBytes = 390 * mib;
  kernel.run(4000);
  const taken = kernel.reports.filter(({ type }) => type === 'reclaimed');
  assert.ok(taken.length > 0);
  assert.deepEqual([...new Set(taken.map((report) => report.machine))], ['large']);
  assert.ok(taken.some(({ numbers }) => numbers.claimant === 'claims' && numbers.reclaimedBytes > 50 * mib));
});

test('a neighbour that comes and goes does not fill the log of events', () => {
  const kernel = world(1024, 4096, [machine('large', 64, 1024, { wantsBytes: 1000 * mib, cacheShare: 1 }), machine('pulse', 100, 1024)]);
  for (let second = 0; second < 120; second += 1) {
    kernel.machines[1]!.wantsBytes = (second % 2 === 0 ? 90 : 84) * mib;
    kernel.run(1000);
  }
  assert.ok(kernel.reports.length > 0 && kernel.reports.length <= 6, `${kernel.reports.length} reports in two minutes`);
});
