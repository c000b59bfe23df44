import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Holdings } from './holdings.ts';

test('both ways say the same, whoever is given what', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(5), fc.option(fc.nat(3), { nil: undefined }))), (gifts) => {
      const holdings = new Holdings<number, number>();
      const plain = new Map<number, number>();
      for (const [key, holder] of gifts) {
        holdings.give(key, holder);
        if (holder === undefined) plain.delete(key);
        else plain.set(key, holder);
      }
      for (let key = 0; key <= 5; key += 1) assert.equal(holdings.holderOf(key), plain.get(key));
      for (let holder = 0; holder <= 3; holder += 1) {
        const expected = [...plain].flatMap(([key, of]) => (of === holder ? [key] : []));
        assert.deepEqual(new Set(holdings.heldBy(holder)), new Set(expected));
      }
    }),
  ));

test('nothing is left of what was cleared', () => {
  const holdings = new Holdings<string, string>();
  holdings.give('a', 'one');
  holdings.clear();
  assert.deepEqual([holdings.holderOf('a'), holdings.heldBy('one')], [undefined, []]);
});
