import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attribute, parseAttributes } from './netlink.ts';

test('attributes are found again, and hostile bytes end the search without an error', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 40 })), { selector: ([type]) => type, maxLength: 10 }),
      fc.uint8Array({ maxLength: 3 }),
      (list, tail) => {
        const encoded = Buffer.concat([...list.map(([type, payload]) => attribute(type, payload)), tail]);
        assert.equal((encoded.length - tail.length) % 4, 0);
        assert.deepEqual(
          [...parseAttributes(encoded)].map(([type, payload]) => [type, [...payload]]),
          list.map(([type, payload]) => [type, [...payload]]),
        );
      },
    ),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parseAttributes(Buffer.from(bytes)).size >= 0));
});
