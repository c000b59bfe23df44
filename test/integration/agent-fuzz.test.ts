/** Every order the agent takes, made from its own schema, good and bad: always an answer of the right form, and what there is stays in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { errorCodes } from '../../src/base/errors.ts';
import type { ErrorBody } from '../../src/base/errors.ts';
import { Generation, MachineAction, MachineCreate, MachineRename, MachineResizes, MachineUpdate, SnapshotCreate } from '../../src/model/agent-api.ts';
import type { ResizeOutcome } from '../../src/model/agent-api.ts';
import type { MachineSpec } from '../../src/model/machine.ts';
import { agentFixture } from '../support/agent-fixture.ts';
import type { AgentFixture } from '../support/agent-fixture.ts';
import { fromSchema } from '../support/from-schema.ts';
import type { JsonSchema } from '../support/from-schema.ts';
import { fuzzRuns } from '../support/seed.ts';

interface Order {
  method: string;
  path: string;
  body: object | null;
}

const orders: readonly Order[] = [
  { method: 'GET', path: '/v1/machines', body: null },
  { method: 'GET', path: '/v1/machines/ID', body: null },
  { method: 'GET', path: '/v1/machines/ID/usage', body: null },
  { method: 'PUT', path: '/v1/machines/ID', body: MachineCreate },
  ...['start', 'stop', 'restart'].map((verb) => ({ method: 'POST', path: `/v1/machines/ID/${verb}`, body: MachineAction })),
  { method: 'POST', path: '/v1/resizes', body: MachineResizes },
  { method: 'POST', path: '/v1/machines/ID/update', body: MachineUpdate },
  { method: 'PUT', path: '/v1/machines/ID/code', body: null },
  { method: 'POST', path: '/v1/machines/ID/rename', body: MachineRename },
  { method: 'POST', path: '/v1/machines/ID/snapshots', body: SnapshotCreate },
  { method: 'GET', path: '/v1/machines/ID/snapshots', body: null },
  { method: 'POST', path: '/v1/machines/ID/snapshots/one/rollback', body: Generation },
  { method: 'DELETE', path: '/v1/machines/ID/snapshots/one', body: null },
  { method: 'DELETE', path: '/v1/machines/ID', body: Generation },
  { method: 'POST', path: '/v1/images', body: null },
  { method: 'DELETE', path: '/v1/images/ID', body: null },
  { method: 'DELETE', path: '/v1/platforms/host/live', body: null },
];

const pool = { cpuMillis: 4000, memoryMib: 8192, diskMib: 100_000 };
const otherId = '11111111-1111-4111-8111-111111111111';

/** A body from the schema; a specification in it is often one that the host can serve, changed in a field. */
const bodyOf = (order: Order, known: MachineSpec): fc.Arbitrary<unknown> => {
  if (order.body === null) return fc.option(fc.jsonValue({ maxDepth: 1 }), { nil: undefined, freq: 10 });
  return fc.tuple(fromSchema(order.body as JsonSchema), fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 40 })).map(([made, change, generation]) => {
    if (Array.isArray(made)) return made.map((one: unknown) => (typeof one === 'object' && change > 0 ? { ...one, id: known.id, generation } : one));
    if (typeof made !== 'object' || made === null || !('generation' in made) || change === 0) return made;
    if (!('spec' in made) || typeof made.spec !== 'object' || made.spec === null) return { ...made, generation };
    const entries = Object.entries(made.spec);
    const odd = entries[change % Math.max(1, entries.length)];
    return { ...made, generation, fromSnapshot: undefined, spec: { ...known, ...(odd === undefined || change < 8 ? {} : { [odd[0]]: odd[1] }) } };
  });
};

const send = async (fixture: AgentFixture, method: string, path: string, body: unknown): Promise<{ status: number; text: string }> => {
  const response = await fixture.client.http.send(
    method,
    path,
    body === undefined || method === 'GET' ? {} : { stream: Readable.from([JSON.stringify(body)]), headers: { 'content-type': 'application/json' } },
  );
  return { status: response.statusCode!, text: Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString() };
};

test('every order from its schema', async () => {
  for (const order of orders) {
    await using fixture = await agentFixture({ pool });
    const known = fixture.spec({ stopGraceSeconds: 0 });
    await fixture.client.machineCreate(known.id, { generation: 1, spec: known, desired: 'running' });
    const ids = fc.constantFrom(known.id, known.id, otherId, 'no-id', '..%2f..', '%00', 'x'.repeat(300));
    await fc.assert(
      fc.asyncProperty(ids, bodyOf(order, known), async (id, body) => {
        const path = order.path.replace('ID', id);
        const { status, text } = await send(fixture, order.method, path, body);
        const told = `${order.method} ${path} ${JSON.stringify(body)}: ${text}`;
        const refusals: ErrorBody[] = [];
        if (status >= 400) {
          refusals.push(JSON.parse(text) as ErrorBody);
          assert.equal(status, errorCodes[refusals[0]!.code].status, told);
        } else if (path === '/v1/resizes') {
          const outcomes = text
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as ResizeOutcome);
          assert.deepEqual(
            outcomes.map(({ index }) => index).toSorted((a, b) => a - b),
            (body as unknown[]).map((_, index) => index),
            told,
          );
          refusals.push(...outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : [])));
        }
        for (const { code, message } of refusals) {
          assert.notEqual(code, 'internal', told);
          assert.ok(message.length > 0 && message.length < 2000 && !message.includes('\n'), told);
        }
        const machines = await fixture.client.machineList();
        for (const [field, most] of Object.entries(pool) as [keyof typeof pool, number][])
          assert.ok(machines.reduce((sum, { spec }) => sum + spec.resources[field], 0) <= most, `${field} is promised twice`);
        assert.equal(new Set(machines.map(({ spec }) => spec.address)).size, machines.length, 'an address is given twice');
      }),
      { numRuns: fuzzRuns ?? 60, endOnFailure: true },
    );
    // What it has on record it can take up again.
    const before = (await fixture.client.machineList()).map(({ id }) => id);
    await fixture.restart();
    assert.deepEqual(
      (await fixture.client.machineList()).map(({ id }) => id),
      before,
    );
  }
});
