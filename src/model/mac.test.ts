import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { macBytes, macOf } from './mac.ts';

test('as text it is what its bytes are, of either family', () =>
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.constantFrom('fd00::1', 'fd00:10::ffff', '2001:db8::a:b')), (address) => {
      assert.equal(
        macOf(address),
        macBytes(address)
          .toString('hex')
          .replaceAll(/..(?=.)/g, '$&:'),
      );
    }),
  ));
