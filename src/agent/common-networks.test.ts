import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CommonNetworks } from './common-networks.ts';

const network = fc.constantFrom('front', 'back', 'third');
const change = fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), primary: network, on: fc.uniqueArray(network), isGone: fc.boolean() });

test('what is counted is what all machines of a primary network are on, and each network that it may change for is named', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const common = new CommonNetworks();
      const plain = new Map<string, { primary: string; on: string[] }>();
      const expected = (primary: string): string[] => {
        const those = [...plain.values()].filter((one) => one.primary === primary).map(({ on }) => on);
        return (those[0] ?? []).filter((each) => those.every((on) => on.includes(each))).toSorted();
      };
      for (const { id, primary, on, isGone } of changes) {
        const before = new Map(['front', 'back', 'third'].map((each) => [each, expected(each)]));
        const member = { primary, on: [...new Set([primary, ...on])] };
        const touched = isGone ? common.remove(id) : common.set(id, member);
        if (isGone) plain.delete(id);
        else plain.set(id, member);
        for (const [each, former] of before) {
          assert.deepEqual(common.of(each), expected(each));
          if (JSON.stringify(former) !== JSON.stringify(expected(each))) assert.ok(touched.includes(each));
        }
      }
    }),
  );
});
