import assert from 'node:assert/strict';
import { test } from 'node:test';
import { declarationOf, elementOf } from './set-shapes.ts';
import type { SetShape } from './set-shapes.ts';

const ports: SetShape = { key: ['ipv4_addr', 'inet_proto', 'inet_service'], isInterval: true };

test('fields are filled up to four bytes, and both ends of a range are told', () => {
  assert.equal(declarationOf(ports), 'type ipv4_addr . inet_proto . inet_service; flags interval;');
  const { key, end } = elementOf(ports, '10.1.0.0/17 . tcp . 80-443');
  assert.deepEqual([...key], [10, 1, 0, 0, 6, 0, 0, 0, 0, 80, 0, 0]);
  assert.deepEqual([...end!], [10, 1, 127, 255, 6, 0, 0, 0, 1, 187, 0, 0]);
});

test('what is not of the set is refused before the kernel is asked', () => {
  for (const text of ['', '10.1.0.0', '10.1.0.0 . tcp . 65536', '10.1.0.0/33 . tcp . 1', '10.1.0 . tcp . 1', '10.1.0.0 . sctp . 1', '10.1.0.0 . tcp . 1 . 2'])
    assert.throws(() => elementOf(ports, text), /is not (what the set holds|an address)/, text);
  assert.throws(() => elementOf({ key: ['ifname'] }, '"cn5v*"'), /is not what the set holds/);
  assert.throws(() => elementOf({ key: ['ipv4_addr'], value: 'verdict' }, '10.0.0.1 : accept'), /is not what the set holds/);
});
