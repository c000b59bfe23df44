import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Slots, rangesPerBlock, uidBaseOf, uidSpaceStart, uidRangeSize } from './slots.ts';

const block = (index: number) => uidSpaceStart + index * rangesPerBlock * uidRangeSize;

test('when all uid ranges are in use the next is refused, until one is free again', () => {
  const slots = new Slots([block(2)]);
  const taken = Array.from({ length: rangesPerBlock }, () => slots.take());
  assert.equal(new Set(taken).size, rangesPerBlock);
  assert.throws(() => slots.take(), { code: 'not_enough', message: /all 1024 uid ranges/ });
  slots.release(taken[7]!);
  assert.equal(slots.take(), taken[7]);
  slots.addBlock(block(5));
  assert.equal(uidBaseOf(slots.take()), block(5));
});

test('a range is never given to two, whatever the order of taking, releasing and restoring', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2), { maxLength: 3000 }), fc.uniqueArray(fc.nat(rangesPerBlock - 1), { maxLength: 50 }), (steps, restored) => {
      const slots = new Slots([block(0)]);
      slots.reserve(restored);
      const held = new Set(restored);
      for (const step of steps) {
        const [oldest] = held;
        if (step > 0 && slots.freeCount > 0) {
          const slot = slots.take();
          assert.ok(!held.has(slot));
          held.add(slot);
        } else if (oldest !== undefined) {
          slots.release(oldest);
          slots.release(oldest); // twice is as once
          held.delete(oldest);
        }
      }
      assert.equal(slots.freeCount, rangesPerBlock - held.size);
    }),
    { numRuns: 50 },
  );
});
