import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrivalsOf, peakSecond, rateAt, stepArrivals } from './arrivals.ts';

const shape = { tenants: 8, seconds: 96, peakRate: 200, seed: 7, peaks: 'apart' as const };

test('a seed repeats the day, another gives another', () => {
  assert.deepEqual(arrivalsOf(shape), arrivalsOf(shape));
  assert.notDeepEqual(arrivalsOf(shape), arrivalsOf({ ...shape, seed: 8 }));
});

test('the day is in order, and has one report a tenant, at its peak', () => {
  const day = arrivalsOf(shape);
  assert.ok(day.every(({ dueMs }, index) => index === 0 || dueMs >= day[index - 1]!.dueMs));
  const reports = day.filter(({ kind }) => kind === 'report');
  assert.deepEqual(
    reports.map(({ tenant, dueMs }) => [tenant, dueMs / 1000]),
    Array.from({ length: 8 }, (_, tenant) => [tenant, peakSecond(shape, tenant)]),
  );
});

test('a tenant asks for about a fifth of its peak in the mean, and most of it around its peak', () => {
  const day = arrivalsOf(shape);
  for (let tenant = 0; tenant < shape.tenants; tenant += 1) {
    const own = day.filter((one) => one.tenant === tenant);
    const mean = own.length / shape.seconds / shape.peakRate;
    assert.ok(mean > 0.13 && mean < 0.27, `tenant ${tenant}: ${mean}`);
    const distance = (dueMs: number) => Math.abs(dueMs / 1000 - peakSecond(shape, tenant));
    const near = own.filter(({ dueMs }) => Math.min(distance(dueMs), shape.seconds - distance(dueMs)) < 12);
    assert.ok(near.length > own.length * 0.65, `tenant ${tenant}: ${near.length} of ${own.length}`);
  }
});

test('the rate is highest at the peak, and the day a circle', () => {
  assert.equal(rateAt(shape, 3, peakSecond(shape, 3)), shape.peakRate);
  assert.ok(Math.abs(rateAt(shape, 0, 0) - rateAt(shape, 0, shape.seconds)) < 1e-9);
  assert.ok(rateAt(shape, 0, 48) < shape.peakRate * 0.06);
});

test('a day of peaks together has all of them at noon, and no reports', () => {
  const together = { ...shape, peaks: 'together' as const };
  const day = arrivalsOf(together);
  assert.ok(day.every(({ kind }) => kind === 'tile'));
  const noon = day.filter(({ dueMs }) => Math.abs(dueMs / 1000 - 48) < 12).length;
  assert.ok(noon > day.length * 0.65, `${noon} of ${day.length}`);
});

test('gaps of a steady stream are as a Poisson process has them', () => {
  const stream = stepArrivals({ before: 100, after: 400 }, 100, 200, 3);
  const [before, after] = [stream.filter(({ dueMs }) => dueMs < 100_000), stream.filter(({ dueMs }) => dueMs >= 100_000)];
  assert.ok(Math.abs(before.length - 10_000) < 400 && Math.abs(after.length - 40_000) < 800, `${before.length}, ${after.length}`);
  const gaps = before.slice(1).map(({ dueMs }, index) => dueMs - before[index]!.dueMs);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  assert.ok(Math.abs(deviation / mean - 1) < 0.1, `${deviation / mean}`);
});
