/** Every endpoint with requests made from its own schema, good and bad: always an answer, of the right form, and never a 5xx that is not declared. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { errorCodes } from '../../src/base/errors.ts';
import type { ErrorBody } from '../../src/base/errors.ts';
import type { Route } from '../../src/control/http/server.ts';
import { controlFixture } from '../support/control-fixture.ts';
import { fromSchema } from '../support/from-schema.ts';
import type { JsonSchema } from '../support/from-schema.ts';
import { fuzzRuns } from '../support/seed.ts';

const names = ['web', 'db', 'nosuch', 'base', 'small', 'app', 'one', '11111111-1111-4111-8111-111111111111'];
const textValue = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) });
const queryValue = fc.oneof(
  fc.constantFrom('0', '1', '600', '601', '-1', 'true', 'false', '', 'web', 'running', '/etc', '../x', '{"name":"app"}', '{'),
  fc.string({ unit: 'binary', maxLength: 10 }),
);

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed()) || '%20';

const queryName = (route: Route) =>
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...(route.query.length === 0 ? ['limit'] : route.query)) }, fc.string({ maxLength: 5 }));

/** Names made from a schema are of nothing that there is: half of the bodies do without them. */
const references = new Set(['image', 'platform', 'package', 'fromSnapshot', 'fromMachine']);
const existing = ([body, keep]: [unknown, boolean]): unknown =>
  keep || typeof body !== 'object' || body === null || Array.isArray(body)
    ? body
    : Object.fromEntries(Object.entries(body).filter(([name]) => !references.has(name)));

const requestOf = (route: Route) =>
  fc.record({
    parts: fc.array(textValue, { minLength: 3, maxLength: 3 }),
    query: fc.oneof(
      { weight: 3, arbitrary: fc.constant<[string, string][]>([]) },
      { weight: 1, arbitrary: fc.array(fc.tuple(queryName(route), queryValue), { maxLength: 2 }) },
    ),
    body:
      route.body === undefined
        ? fc.option(fc.jsonValue({ maxDepth: 1 }), { nil: undefined, freq: 10 })
        : fc.tuple(fromSchema(route.body as JsonSchema), fc.boolean()).map(existing),
  });

const pathOf = (route: Route, parts: string[], query: [string, string][]): string => {
  let at = 0;
  const path = route.url.replaceAll(/:\w+/g, () => encoded(parts[at++]!));
  // Actions are not waited for here, and nothing is followed.
  const kept = query.filter(([name, value]) => !(name === 'wait' && Number(value) > 0 && Number(value) <= 600) && name !== 'follow');
  return `${path}${kept.length === 0 ? '' : '?'}${kept.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&')}`;
};

test('every endpoint from its schema', async () => {
  await using fixture = await controlFixture({ agent: { pool: { cpuMillis: 1e12, memoryMib: 1e14, diskMib: 1e14 } } });
  const { client, control } = fixture;
  for (const route of control.routes) {
    // Machines that the requests find, anew for each route since the requests delete them.
    await Promise.all(['web', 'db'].map((name) => client.machineCreate({ name }, { wait: 10 }).catch(() => undefined)));
    // What was ever asked for and accepted of the machines there are, and what else a request could make: one that is refused adds nothing.
    const accepted = async () => {
      const jobs = await Promise.all(['web', 'db'].map((name) => client.machineJobs(name).catch(() => [])));
      const made = [await client.packageList(), await client.imageList(), (await client.machineList()).map(({ id }) => id)] as const;
      return { jobs: jobs.flat().map(({ id }) => id), made: made.flat().map((one) => JSON.stringify(one)) };
    };
    await fc.assert(
      fc.asyncProperty(requestOf(route), async ({ parts, query, body }) => {
        const before = await accepted();
        const path = pathOf(route, parts, query);
        const hasBody = body !== undefined && route.method !== 'GET';
        const response = await client.http.send(
          route.method,
          path,
          hasBody ? { stream: Readable.from([JSON.stringify(body)]), headers: { 'content-type': 'application/json' } } : {},
        );
        const text = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString();
        const status = response.statusCode!;
        if (status < 400) return;
        const answer = JSON.parse(text) as ErrorBody;
        assert.equal(status, errorCodes[answer.code].status, text);
        const after = await accepted();
        const added = [...after.jobs.filter((id) => !before.jobs.includes(id)), ...after.made.filter((one) => !before.made.includes(one))];
        assert.deepEqual(added, [], `${route.method} ${path} was refused and did something: ${text}`);
        if (answer.code === 'invalid_argument') assert.ok((answer.fields ?? []).length > 0, `${route.method} ${path} names no field: ${text}`);
        assert.ok(status < 500 || status === 501 || status === 503, `${route.method} ${path}: ${text}`);
        assert.ok(answer.message.length > 0 && answer.message.length < 2000 && !answer.message.includes('\n'), text);
        assert.ok(
          Object.keys(answer).every((key) => ['code', 'message', 'fields', 'advice'].includes(key)),
          text,
        );
      }),
      { numRuns: fuzzRuns ?? 60, endOnFailure: true },
    );
  }
  await fixture.restart();
  await client.machineList();
});
