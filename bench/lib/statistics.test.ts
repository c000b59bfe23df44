import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { summarise } from './statistics.ts';

test('percentiles are measured values, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 1 }), (samples) => {
      const { n, min, p50, p90, p99, max } = summarise(samples);
      assert.equal(n, samples.length);
      for (const value of [min, p50, p90, p99, max]) assert.ok(samples.includes(value));
      assert.deepEqual(
        [min, p50, p90, p99, max],
        [min, p50, p90, p99, max].toSorted((one, other) => one - other),
      );
    }),
  );
});

test('of a hundred, the ninety-ninth', () => {
  const { p50, p99, max, mean } = summarise(Array.from({ length: 100 }, (_, index) => index + 1));
  assert.deepEqual({ p50, p99, max, mean }, { p50: 50, p99: 99, max: 100, mean: 50.5 });
});
