import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { heldOf, levelFor } from './crowding.ts';

test('the level lets all have what fits, and no more', () => {
  assert.equal(levelFor([1, 2, 3], 6), Infinity);
  assert.equal(levelFor([1, 2, 300], 103), 100);
  assert.equal(levelFor([50, 50, 50], 60), 20);
  assert.equal(levelFor([5, 5], -1), 0);
  fc.assert(
    fc.property(fc.array(fc.nat(1000)), fc.nat(20_000), (counts, room) => {
      const level = levelFor(counts, room);
      const taken = counts.reduce((sum, count) => sum + Math.min(count, level), 0);
      assert.ok(taken <= room, 'it is no more');
      const above = counts.filter((count) => count > level);
      assert.ok(level === Infinity || (above.length > 0 && taken + above.length > room), 'one more for each would be too much');
    }),
  );
});

test('held is who has most, and until it has clearly less', () => {
  const counts = new Map([
    ['small', 10],
    ['large', 95],
  ]);
  assert.deepEqual(heldOf(counts, 100, new Set()), new Set(['large']));
  assert.deepEqual(heldOf(counts, 110, new Set()), new Set());
  assert.deepEqual(heldOf(counts, 110, new Set(['large', 'gone'])), new Set(['large']));
  assert.deepEqual(heldOf(counts, 150, new Set(['large'])), new Set());
});
