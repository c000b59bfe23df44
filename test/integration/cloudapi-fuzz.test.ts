/**
 * CloudAPI with requests made from its own schemas, good and bad: always an answer, of the form that its document promises, and never a 5xx
 * but the refusal of what there is not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import { endpoints } from '../../src/control/cloudapi/endpoints/all.ts';
import type { Endpoint } from '../../src/control/cloudapi/endpoint.ts';
import { WireError } from '../../src/control/cloudapi/openapi.ts';
import { WireMachine } from '../../src/control/cloudapi/wire/machine.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { fromSchema } from '../support/from-schema.ts';
import type { JsonSchema } from '../support/from-schema.ts';
import { fuzzRuns } from '../support/seed.ts';

const hostileText = fc.oneof(
  fc.constantFrom('nosuch', '..', '../../etc/passwd', "' or 1=1 --", '%00', '\u{1F4A9}', 'a b', 'x'.repeat(600), '__proto__', '\n[31m'),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uuid(),
);
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed()) || '%20';

const known: Readonly<Record<string, string>> = { tag: 'role', key: 'colour', name: 'first', mac: '02ce0a4d0002', network: externalNetwork, package: 'tiny' };

const requestOf = (endpoint: Endpoint) =>
  fc.record({
    /** Mostly names of what there is. */
    hostile: fc.array(fc.option(hostileText, { freq: 3, nil: undefined }), { minLength: 4, maxLength: 4 }),
    parameters: fromSchema({ ...(endpoint.parameters as JsonSchema), type: 'object' }),
    more: fc.option(fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 }), { freq: 3, nil: {} }),
    where: fc.constantFrom('query', 'json', 'form'),
    version: fc.constantFrom('~9||~8', '~7.2', '8', '*'),
  });

const queryOf = (bag: Record<string, unknown>): string =>
  Object.entries(bag)
    .map(([name, value]) => `${encoded(name)}=${encoded(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))}`)
    .join('&');

test('every endpoint from its schema', async () => {
  await using here = await cloudApiFixture({
    agent: { pool: { cpuMillis: 1e12, memoryMib: 1e14, diskMib: 1e14 } },
    cloudapi: { address: '127.0.0.1', port: 0, datacenter: 'here', perAccount: { perSecond: 1e6, burst: 1e6 }, perAddress: { perSecond: 1e6, burst: 1e6 } },
  });
  const { alice } = here;
  const isError = Compile(WireError);
  const isMachine = Compile(WireMachine);
  for (const endpoint of endpoints) {
    const machine = await makeMachine(alice, 'web');
    await alice.send('POST', `/my/machines/${machine}/tags`, { json: { role: 'web' } });
    const fits = endpoint.answer === null ? null : Compile(endpoint.answer);
    await fc.assert(
      fc.asyncProperty(requestOf(endpoint), async ({ hostile, parameters, more, where, version }) => {
        let at = 0;
        const path = endpoint.path.replaceAll(/:([a-z]+)/g, (_whole, name: string) =>
          name === 'account' ? 'my' : encoded(hostile[at++] ?? (name === 'machine' ? machine : (known[name] ?? 'nosuch'))),
        );
        const bag = { ...(typeof parameters === 'object' ? parameters : {}), ...more, ...(endpoint.action === undefined ? {} : { action: endpoint.action }) };
        // The account keeps its key, or nothing more could be asked.
        if (path.startsWith('/my/keys') && endpoint.method === 'DELETE' && path.endsWith('first')) return;
        const inQuery = where === 'query' || endpoint.method === 'GET' || endpoint.method === 'DELETE';
        const query = inQuery
          ? queryOf(bag)
              .slice(0, 4000)
              .replace(/%[0-9A-F]?$/, '')
          : '';
        const reply = await alice.send(endpoint.method, `${path}${query === '' ? '' : `?${query}`}`, {
          headers: { 'accept-version': version },
          ...(inQuery ? {} : where === 'json' ? { json: bag } : { raw: { type: 'application/x-www-form-urlencoded', text: queryOf(bag) } }),
        });
        const told = `${endpoint.name} ${path} ${JSON.stringify(bag)}: ${reply.status} ${reply.text.slice(0, 500)}`;
        assert.ok(reply.status < 500 || reply.status === 501, told);
        if (reply.status === 410) assert.ok(isMachine.Check(reply.body), told);
        else if (reply.status >= 400) assert.ok(isError.Check(reply.body), told);
        else if (fits !== null) assert.ok(fits.Check(reply.body), told);
        else assert.equal(reply.text, '', told);
        if (reply.status >= 400) assert.doesNotMatch(reply.text, /sqlite|src\/|node_modules|select |at Object/i, told);
      }),
      { numRuns: fuzzRuns ?? 25 },
    );
    // Protection ends a moment after it was asked for, and the name is free once the machine is gone.
    await alice.send('POST', `/my/machines/${machine}?action=disable_deletion_protection`);
    await eventually(
      () => alice.send('DELETE', `/my/machines/${machine}`),
      ({ status }) => status === 410,
    );
  }
});
