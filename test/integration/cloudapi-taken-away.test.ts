/** What was let in and lasts, changefeeds and shells, ends when what let it in is taken away; what is others' goes on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { WebSocket } from 'ws';
import type { MadeToken } from '../../src/model/account.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import type { CloudApiFixture } from '../support/cloudapi-fixture.ts';
import { SignedClient } from '../support/signed-client.ts';

const opened = async (socket: WebSocket): Promise<WebSocket> => {
  await once(socket, 'open');
  return socket;
};

/** What lasts of whoever signs: a changefeed and a shell. */
const lastingOf = async (url: string, paths: readonly string[], client: SignedClient, keyId?: string): Promise<WebSocket[]> =>
  Promise.all(
    paths.map((path) =>
      opened(new WebSocket(`${url.replace('http', 'ws')}${path}`, { headers: client.signed('GET', path, keyId === undefined ? {} : { keyId }) })),
    ),
  );

const allClose = (sockets: readonly WebSocket[]): Promise<unknown> =>
  Promise.all(
    sockets.map((socket) => {
      assert.equal(socket.readyState, WebSocket.OPEN);
      return once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
    }),
  );

interface Ways extends CloudApiFixture {
  machine: string;
  carol: SignedClient;
  carolsKeyId: string;
}

/** alice, whose user carol may do all that lasts with her machine, by a key of her own. */
const withUser = async (): Promise<Ways> => {
  await using stack = new AsyncDisposableStack();
  const here = stack.use(await cloudApiFixture());
  const { alice, url } = here;
  const machine = await makeMachine(alice, 'web');
  const key = sshpk.generatePrivateKey('ecdsa');
  const post = async (path: string, json: object) => assert.ok([200, 201].includes((await alice.send('POST', path, { json })).status), path);
  await post('/my/users', { login: 'carol', email: 'carol@example.com', password: 'secret123' });
  await post('/my/users/carol/keys', { name: 'laptop', key: key.toPublic().toString('ssh') });
  await post('/my/policies', { name: 'shell', rules: ['CAN execmachine'] });
  await post('/my/roles', { name: 'ops', members: [{ login: 'carol', default: true }], policies: ['shell'] });
  await alice.send('PUT', `/my/machines/${machine}`, { json: { 'role-tag': ['ops'] } });
  const moved = stack.move();
  return {
    ...here,
    machine,
    carol: new SignedClient(url, 'alice', key),
    carolsKeyId: `/alice/users/carol/keys/${key.fingerprint('md5').toString('hex')}`,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};

const pathsOf = (machine: string) => ['/alice/changefeed', `/v1/machines/${machine}/exec`];

test('an account’s key, access key and token', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, url } = here;
  const machine = await makeMachine(alice, 'web');
  const paths = pathsOf(machine);
  const others = await lastingOf(url, ['/bob/changefeed'], bob);
  const own = await lastingOf(url, paths, alice);

  const second = sshpk.generatePrivateKey('ecdsa');
  await alice.send('POST', '/my/keys', { json: { name: 'second', key: second.toPublic().toString('ssh') } });
  const bySecond = await lastingOf(url, paths, new SignedClient(url, 'alice', second));
  let closed = allClose(bySecond);
  assert.equal((await alice.send('DELETE', '/my/keys/second')).status, 204);
  await closed;

  const { accesskeyid: id, accesskeysecret: secret } = (await alice.send('POST', '/my/accesskeys')).body as Record<string, string>;
  const program = new SignedClient(url, 'alice', { id: id!, secret: secret! });
  closed = allClose(await lastingOf(url, paths, program));
  await alice.send('POST', `/my/accesskeys/${id}`, { json: { status: 'Inactive' } });
  await closed;
  await alice.send('POST', `/my/accesskeys/${id}`, { json: { status: 'Active' } });
  closed = allClose(await lastingOf(url, paths, program));
  await alice.send('DELETE', `/my/accesskeys/${id}`);
  await closed;

  const token = (await alice.send('POST', '/v1/accounts/alice/tokens')).body as MadeToken;
  const byToken = await Promise.all(
    paths.map((path) => opened(new WebSocket(`${url.replace('http', 'ws')}${path}`, ['cenote', `x-auth-token.${token.token}`]))),
  );
  closed = allClose(byToken);
  await alice.send('DELETE', `/v1/accounts/alice/tokens/${token.id}`);
  await closed;

  // By name, which another key has then.
  const named = await lastingOf(url, paths, alice, '/alice/keys/first');
  closed = allClose([...named, ...own]);
  await alice.send('POST', '/my/keys', { json: { name: 'third', key: second.toPublic().toString('ssh') } });
  const byThird = new SignedClient(url, 'alice', second);
  assert.equal((await byThird.send('DELETE', '/v1/accounts/alice/keys/third')).status, 204, 'who takes away his own is answered');
  assert.equal((await alice.send('DELETE', '/my/keys/first')).status, 204);
  await here.fixture.client.keyAdd('alice', { name: 'first', key: second.toPublic().toString('ssh') });
  await closed;
  assert.equal(others[0]!.readyState, WebSocket.OPEN, 'another account’s');
  others[0]!.terminate();
});

test('a user, and what the user’s roles granted', async () => {
  await using here = await withUser();
  const { alice, carol, carolsKeyId, machine, url } = here;
  const paths = [`/v1/machines/${machine}/exec`];
  const own = await lastingOf(url, pathsOf(machine), alice);
  const shell = () => lastingOf(url, paths, carol, carolsKeyId);
  const change = async (method: string, path: string, json?: object): Promise<void> => {
    const { status, text } = await alice.send(method, path, json === undefined ? {} : { json });
    assert.ok(status < 300, text);
  };
  const took = async (way: () => Promise<unknown>, back: () => Promise<unknown>): Promise<void> => {
    const closed = allClose(await shell());
    await way();
    await closed;
    await back();
  };
  await took(
    () => change('POST', '/my/policies/shell', { rules: ['CAN getmachine'] }),
    () => change('POST', '/my/policies/shell', { rules: ['CAN execmachine'] }),
  );
  await took(
    () => change('POST', '/my/roles/ops', { members: [] }),
    () => change('POST', '/my/roles/ops', { members: [{ login: 'carol', default: true }] }),
  );
  await took(
    () => change('PUT', `/my/machines/${machine}`, { 'role-tag': [] }),
    () => change('PUT', `/my/machines/${machine}`, { 'role-tag': ['ops'] }),
  );
  // What has nothing to do with it does nothing to it.
  const [stays] = await shell();
  await change('POST', '/my/roles', { name: 'spare', members: ['carol'] });
  await change('POST', '/my/users', { login: 'dan', email: 'dan@example.com', password: 'secret123' });
  const closed = allClose([stays!]);
  await change('DELETE', '/my/users/carol');
  await closed;
  for (const socket of own) {
    assert.equal(socket.readyState, WebSocket.OPEN, 'the account’s own');
    socket.terminate();
  }
});
