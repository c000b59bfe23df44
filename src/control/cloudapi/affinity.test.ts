import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Machine } from '../../model/control-api.ts';
import { demandPlace } from './affinity.ts';
import { Refusal } from './refusal.ts';

const id = '0a1b2c3d-0000-4000-8000-000000000000';
const machines = [{ id, name: 'web1', state: 'running', tags: { role: 'web', count: 3 } }] as unknown as Machine[];
const holds = (...affinity: string[]): boolean => {
  try {
    demandPlace(machines, affinity, undefined);
    return true;
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return false;
  }
};

test('near is here, far is nowhere, and a wish is a wish', () => {
  for (const rule of [
    'instance==web1',
    'instance==web*',
    `instance==${id}`,
    'instance==0a1b2c3d',
    'role==web',
    'count==3',
    'role!=db',
    'instance!=db*',
    'role!=~web',
    'role==~db',
  ])
    assert.ok(holds(rule), rule);
  for (const rule of ['instance!=web1', 'instance!=*', 'role!=web', 'role==db', 'instance==db']) assert.ok(!holds(rule), rule);
  assert.ok(!holds('role==web', 'instance!=web1'));
});

test('what cannot be read is refused', () => {
  for (const rule of ['', 'role', 'role=web', '==web', 'role==/w.*/', `role==${'x'.repeat(300)}`]) assert.ok(!holds(rule), rule);
  assert.throws(() => demandPlace(machines, [], { far: 'x' }), Refusal);
  assert.throws(() => demandPlace(machines, [], { strict: true, far: [id] }), Refusal);
  demandPlace(machines, [], { far: [id] });
  demandPlace(machines, [], { strict: true, near: [id] });
});
