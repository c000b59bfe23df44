/** An account that the operator has disabled: nobody comes in for it, who was in is let go, and its machines go on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';

test('a disabled account', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture, url } = here;
  const { client } = fixture;
  const machine = await makeMachine(alice, 'web');
  const open = async (path: string): Promise<WebSocket> => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, { headers: alice.signed('GET', path) });
    await once(socket, 'open');
    return socket;
  };
  const sockets = [await open('/alice/changefeed'), await open(`/v1/machines/${machine}/exec`)];
  const closed = sockets.map((socket) => once(socket, 'close'));

  const disabled = await client.accountDisable('alice');
  assert.ok(disabled.disabledAt !== null);
  assert.equal((await client.accountDisable('alice')).disabledAt, disabled.disabledAt, 'as it is already');
  await Promise.all(closed);
  const refused = await alice.send('GET', '/my/machines');
  assert.deepEqual([refused.status, refused.body], [403, { code: 'NotAuthorized', message: 'Account or user is disabled' }]);
  const ours = await alice.send('GET', '/v1/machines');
  assert.deepEqual([ours.status, (ours.body as { code: string }).code], [403, 'forbidden']);
  assert.equal((await bob.send('GET', '/my/machines', { keyId: '/alice/keys/first' })).status, 401, 'a stranger is not told');
  assert.equal((await bob.send('GET', '/my/machines')).status, 200);
  assert.equal(fixture.agent.machines.get(machine)!.status.state, 'running');

  assert.equal((await client.accountEnable('alice')).disabledAt, null);
  assert.equal(((await alice.send('GET', `/my/machines/${machine}`)).body as { state: string }).state, 'running');
  await assert.rejects(client.accountDisable('default'), { code: 'in_use' });
  await assert.rejects(client.accountDisable('nosuch'), { code: 'not_found' });
});
