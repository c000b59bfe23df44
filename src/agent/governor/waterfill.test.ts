import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fairTargets } from './waterfill.ts';
import type { Borrower } from './waterfill.ts';

const mib = 2 ** 20;
const borrowers = fc
  .array(
    fc.record({ usedBytes: fc.integer({ min: 0, max: 4096 }).map((n) => n * mib), guaranteeBytes: fc.integer({ min: 4, max: 1024 }).map((n) => n * mib) }),
    {
      maxLength: 12,
    },
  )
  .map((all) => all.map((one, index) => ({ id: String(index), ...one })));
const demand = fc.integer({ min: 0, max: 8192 }).map((n) => n * mib);
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
const borrowedOf = (one: Borrower): number => Math.max(0, one.usedBytes - one.guaranteeBytes);

test('what is given back is what is demanded, or all that is borrowed, and nobody goes below the guarantee', () => {
  fc.assert(
    fc.property(borrowers, demand, (all, demandBytes) => {
      const targets = fairTargets(all, demandBytes);
      const given = sum(all.map((one) => one.usedBytes - (targets.get(one.id) ?? one.usedBytes)));
      for (const one of all) {
        const target = targets.get(one.id) ?? one.usedBytes;
        assert.ok(target <= one.usedBytes && (target >= one.guaranteeBytes || target === one.usedBytes), JSON.stringify({ one, target }));
      }
      const expected = Math.min(demandBytes, sum(all.map(borrowedOf)));
      // Rounding down takes at most a byte more from each.
      assert.ok(given >= expected - 1 && given <= expected + all.length, `${given} given of ${expected}`);
    }),
  );
});

test('nobody gives while another keeps a larger multiple of its guarantee', () => {
  fc.assert(
    fc.property(borrowers, demand, (all, demandBytes) => {
      const targets = fairTargets(all, demandBytes);
      const after = (one: Borrower): number => (targets.get(one.id) ?? one.usedBytes) / one.guaranteeBytes;
      const highest = Math.max(0, ...all.map(after));
      for (const one of all) {
        const gives = (targets.get(one.id) ?? one.usedBytes) < one.usedBytes;
        if (gives) assert.ok(after(one) >= highest - 1e-6, JSON.stringify({ one, after: after(one), highest }));
      }
    }),
  );
});

test('the largest borrower relative to its guarantee comes first, not the largest', () => {
  const targets = fairTargets(
    [
      { id: 'large', usedBytes: 2000 * mib, guaranteeBytes: 1000 * mib },
      { id: 'small', usedBytes: 640 * mib, guaranteeBytes: 64 * mib },
    ],
    300 * mib,
  );
  assert.equal(targets.get('large'), 2000 * mib);
  assert.equal(targets.get('small'), 340 * mib);
});
