/** URLs that carry their signature: used by who holds no key, for what was signed and until then. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';

test('a URL that was signed beforehand', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, url } = here;
  const machine = await makeMachine(alice, 'web');
  // Whoever uses it signs nothing.
  const use = (method: string, path: string, more: object = {}) => bob.send(method, path, { unsigned: true, ...more });
  const get = (path: string) => use('GET', path);

  const read = alice.presigned(`/alice/machines/${machine}`);
  assert.equal(((await get(read)).body as { id: string }).id, machine);
  assert.equal((await get(read)).status, 200, 'until it expires');
  assert.equal((await use('DELETE', read)).status, 401, 'for what it was signed for');
  assert.equal((await get(read.replace(machine, '00000000-0000-4000-8000-000000000000'))).status, 401);
  const listed = alice.presigned('/my/machines?limit=5&name=we&tag.role=a%20b*');
  assert.deepEqual([(await get(listed)).status, (await get(listed)).body], [200, []]);
  assert.equal((await get(listed.replace('limit=5', 'limit=6'))).status, 401);
  assert.equal((await get(`${listed}&state=running`)).status, 401);

  // Of several methods, and with a body; its own parameters are none of the endpoint's.
  const change = alice.presigned(`/my/machines/${machine}?action=rename`, { methods: ['POST', 'GET'] });
  const renamed = await use('POST', change, { json: { name: 'front' } });
  assert.equal(renamed.status, 202, renamed.text);
  assert.equal((await get(change)).status, 200);

  const now = Math.floor(Date.now() / 1000);
  for (const [expires, message] of [
    [now - 2, /has expired/],
    [now + 8 * 86_400, /more than 7 days/],
  ] as const) {
    const reply = await get(alice.presigned('/my/machines', { expires }));
    assert.deepEqual([reply.status, message.test(reply.text)], [401, true], reply.text);
  }
  assert.equal((await get(alice.presigned('/my/machines', { host: 'elsewhere.example' }))).status, 401);
  assert.equal((await get(bob.presigned('/alice/machines', { keyId: '/alice/keys/first' }))).status, 401);
  assert.equal((await get(bob.presigned('/alice/machines'))).status, 403);
  for (const wrong of ['/my/machines?signature=x', `${read}&keyId=/alice/keys/first`, read.replace(/expires=\d+/, 'expires=soon')])
    assert.equal((await get(wrong)).status, 400, wrong);
  // Beside a header they are parameters like others.
  assert.equal((await alice.send('POST', `/my/machines/${machine}?action=reboot&expires=1`)).status, 409);

  const ours = alice.presigned(`/v1/machines?name=front`);
  assert.equal(((await get(ours)).body as unknown[]).length, 1, (await get(ours)).text);
  for (const path of [`/v1/machines/${machine}/exec`, '/alice/changefeed']) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${alice.presigned(path)}`);
    await once(socket, 'open');
    socket.terminate();
  }
});
