/** What lists show of a machine is what its row says, however often either changes, and for whoever looks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Machine } from '../../../model/control-api.ts';
import { defaultResources } from '../../../model/default-resources.ts';
import { externalNetwork } from '../../../model/nics.ts';
import { machineWire } from './machine.ts';
import type { MachineView } from './machine.ts';
import { MachineTexts } from './machine-texts.ts';

const machine = (id: number, name: string, state: Machine['state']): Machine => ({
  id: `00000000-0000-4000-8000-00000000000${id}`,
  account: 'a',
  name,
  state,
  desired: 'running',
  image: { id: '7b5981c4-1889-4d0b-9d0d-8b3e0c3f0b33', name: 'base' },
  platform: null,
  package: null,
  resources: defaultResources,
  address: `10.1.0.${id}`,
  publish: [],
  command: null,
  env: {},
  tags: {},
  restart: { policy: 'never', maxRetries: null },
  stopGraceSeconds: 10,
  createdAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  exit: null,
  error: null,
  restarts: 0,
  health: 'none',
  generation: 1,
});

const machines = fc.record({ id: fc.integer({ min: 1, max: 3 }), name: fc.constantFrom('web', 'db'), state: fc.constantFrom('running', 'stopped') });
const views = fc.record({
  gateway: fc.constantFrom('10.1.0.1', '10.1.0.254', null),
  datacenter: fc.constantFrom('here', 'there'),
  version: fc.constantFrom('7.0.0', '9.0.0'),
});

test('the text of a row is always what would be made of it now', () => {
  const texts = new MachineTexts();
  fc.assert(
    fc.property(fc.array(machines, { maxLength: 8 }), views, (list, { gateway, ...seen }) => {
      const view = { ...seen, places: new Map([[externalNetwork, { gateway, netmask: '255.255.0.0' }]]) } as MachineView;
      const rows = list.map(({ id, name, state }) => machine(id, name, state as Machine['state']));
      const made = texts.of(
        rows.map((row) => JSON.stringify(row)),
        view,
      );
      assert.deepEqual(
        made.map((text) => JSON.parse(text) as unknown),
        rows.map((row) => JSON.parse(JSON.stringify(machineWire(row, view))) as unknown),
      );
    }),
  );
});
