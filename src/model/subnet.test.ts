import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { macOf } from './mac.ts';
import { addressFromNumber, addressToNumber, isMachineAddress, parseSubnet } from './subnet.ts';

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
    '10.080.0.0/16',
  ]) {
    assert.throws(() => parseSubnet('subnet', text), { code: 'invalid_argument' }, text);
  }
});

test('addresses and numbers are the same thing', () => {
  fc.assert(fc.property(fc.ipV4(), (address) => addressFromNumber(addressToNumber(address)) === address));
});

test('a MAC is locally administered, for one station, and says the address', () => {
  assert.equal(macOf('10.80.0.5'), '02:ce:0a:50:00:05');
});
