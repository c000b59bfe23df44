import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Subnet } from './subnet.ts';

test('places and addresses are each other', () => {
  const subnet = new Subnet('10.77.0.0/16', '10.77.0.1');
  assert.equal(subnet.addressAt(2), '10.77.0.2');
  assert.equal(subnet.addressAt(300), '10.77.1.44');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: subnet.size - 1 }), (place) => {
      assert.equal(subnet.placeOf(subnet.addressAt(place)), place);
    }),
  );
});

test('what is not of the subnet, or not for machines', () => {
  const subnet = new Subnet('192.168.4.0/24', '192.168.4.254');
  for (const address of ['192.168.5.1', '10.0.0.1', '', '1.2.3', '192.168.4.256', '::1']) assert.equal(subnet.placeOf(address), null, address);
  for (const place of [-1, 0, 254, 255, 256]) assert.equal(subnet.usable(place), false, String(place));
  for (const place of [1, 2, 253]) assert.equal(subnet.usable(place), true, String(place));
});

test('a subnet that is none is refused', () => {
  for (const [text, gateway] of [
    ['10.0.0.0', '10.0.0.1'],
    ['10.0.0.0/33', '10.0.0.1'],
    ['10.0.0/8', '10.0.0.1'],
    ['10.0.0.0/8', 'x'],
  ] as const) {
    assert.throws(() => new Subnet(text, gateway), { code: 'internal' });
  }
});
