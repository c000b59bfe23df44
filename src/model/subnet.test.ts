import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { macOf } from './mac.ts';
import { addressBytes, addressFromBytes, canonicalAddress } from './address.ts';
import { addressAt, isMachineAddress, isWithin, netmaskOf, overlaps, parseDestination, parseSubnet, placeOf } from './subnet.ts';

test('the gateway is the first address, and machines have the others', () => {
  const subnet = parseSubnet('subnet', '10.80.0.0/16');
  assert.equal(subnet.gateway, '10.80.0.1');
  assert.deepEqual(
    ['10.80.0.0', '10.80.0.1', '10.80.0.2', '10.80.255.254', '10.80.255.255', '10.81.0.2', 'x', '::1'].map((address) => isMachineAddress(subnet, address)),
    [false, false, true, true, false, false, false, false],
  );
});

test('what is not a subnet is refused', () => {
  for (const text of [
    '',
    '10.80.0.0',
    '10.80.0.0/7',
    '10.80.0.0/30',
    '10.80.0.1/16',
    '10.80.0.0/16/1',
    '10.80.0.0/+16',
    '10.80.0.0/1e1',
    'fd00::/16',
    'fd00::/126',
    'fd00::1/64',
    'fd00::%eth0/64',
    '::ffff:10.0.0.0/112',
    '10.080.0.0/16',
  ]) {
    assert.throws(() => parseSubnet('subnet', text), { code: 'invalid_argument' }, text);
  }
});

test('of IPv6 the gateway is the first address, and machines have the next 2^53', () => {
  const subnet = parseSubnet('subnet', 'FD00:10::/64');
  assert.deepEqual([subnet.cidr, subnet.gateway, addressAt(subnet, 255)], ['fd00:10::/64', 'fd00:10::1', 'fd00:10::ff']);
  const asked = ['fd00:10::', 'fd00:10::1', 'fd00:10::2', 'fd00:10::1f:ffff:ffff:fffe', 'fd00:10::20:0:0:0', 'fd00:11::2', 'FD00:10::2', '10.0.0.2'];
  assert.deepEqual(
    asked.map((address) => isMachineAddress(subnet, address)),
    [false, false, true, true, false, false, false, false],
  );
  assert.equal(placeOf(parseSubnet('subnet', 'fd00::/125'), 'fd00::7'), 7);
});

test('subnets are inside each other, or apart', () => {
  const inside = (one: string, other: string) => [isWithin, overlaps].map((asks) => asks(parseDestination('subnet', one), parseDestination('subnet', other)));
  assert.deepEqual(inside('10.1.0.0/16', '10.0.0.0/8'), [true, true]);
  assert.deepEqual(inside('10.0.0.0/8', '10.1.0.0/16'), [false, true]);
  assert.deepEqual(inside('10.1.0.0/16', '10.2.0.0/16'), [false, false]);
  assert.deepEqual(inside('fd00:10::/64', 'fc00::/7'), [true, true]);
  assert.deepEqual(inside('fd00:10::/64', 'fd00:10:0:1::/64'), [false, false]);
  assert.deepEqual(inside('128.0.0.0/1', '8000::/1'), [false, false]);
});

test('an address has one text, and bytes', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6()),
      (text) => (text.includes('.') && text.includes(':')) || addressFromBytes(addressBytes(text.toLowerCase())) === canonicalAddress(text),
    ),
  );
  const texts = ['::', '::1', 'fd00::', '1:0:0:2::3', 'FD00:0:0:1:0:0:0:1', '1:2:3:4:5:6:7:0', '0:1:2:3:4:5:6:7'];
  assert.deepEqual(texts.map(canonicalAddress), ['::', '::1', 'fd00::', '1:0:0:2::3', 'fd00:0:0:1::1', '1:2:3:4:5:6:7:0', '0:1:2:3:4:5:6:7']);
});

test('a mask says how long the prefix is', () => {
  assert.deepEqual(
    ['10.0.0.0/20', 'fd00::/64'].map((cidr) => netmaskOf(parseSubnet('subnet', cidr))),
    ['255.255.240.0', 'ffff:ffff:ffff:ffff::'],
  );
});

test('a MAC is locally administered, for one station, and follows from the address', () => {
  assert.equal(macOf('10.80.0.5'), '02:ce:0a:50:00:05');
  assert.match(macOf('fd00::5'), /^06(:[0-9a-f]{2}){5}$/);
  assert.notEqual(macOf('fd00::5'), macOf('fd01::5'));
});
