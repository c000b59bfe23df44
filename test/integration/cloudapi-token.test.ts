/** Short-lived tokens: they stand for who made them, no longer than said, and never for more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { WebSocket } from 'ws';
import type { MadeToken, Token } from '../../src/model/account.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';

const codeOf = (body: unknown): string => (body as { code: string }).code;

test('a token in place of a signature', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture, url } = here;
  const machine = await makeMachine(alice, 'web');
  const made = (await alice.send('POST', '/v1/accounts/alice/tokens', { json: { seconds: 60 } })).body as MadeToken;
  assert.match(made.actor, /^alice with key /);
  assert.equal(Date.parse(made.expiresAt) - Date.parse(made.createdAt), 60_000);
  const use = (method: string, path: string, more: object = {}, token = made.token) =>
    bob.send(method, path, { unsigned: true, headers: { 'x-auth-token': token }, ...more });

  assert.equal(((await use('GET', `/my/machines/${machine}`)).body as { id: string }).id, machine);
  assert.equal(((await use('GET', '/v1/machines')).body as unknown[]).length, 1);
  assert.equal((await use('GET', '/bob/machines')).status, 403);
  assert.equal((await use('POST', `/my/machines/${machine}?action=reboot`)).status, 202);
  const audit = (await alice.send('GET', `/my/machines/${machine}/audit`)).body as { action: string; caller: object }[];
  const reboot = audit.find(({ action }) => action === 'reboot');
  if (reboot !== undefined) assert.deepEqual(reboot.caller, { type: 'token', ip: '127.0.0.1', keyId: `/alice/tokens/${made.id}` });

  // What would outlast it, it does not make.
  const key = sshpk.generatePrivateKey('ecdsa').toPublic().toString('ssh');
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  for (const [path, json] of [
    ['/v1/accounts/alice/tokens', {}],
    ['/v1/accounts/alice/keys', { key }],
    ['/my/keys', { key }],
    ['/my/users/carol/keys', { key }],
    ['/my/accesskeys', {}],
    ['/my/users/carol/accesskeys', {}],
  ] as const)
    assert.equal((await use('POST', path, { json })).status, 403, path);

  const both = await alice.send('GET', '/my/machines', { headers: { 'x-auth-token': made.token } });
  assert.deepEqual([both.status, codeOf(both.body)], [400, 'InvalidHeader']);
  for (const wrong of ['nothing', `${made.token}x`, made.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), '{"data":{},"hash":""}'])
    assert.equal((await use('GET', '/my/machines', {}, wrong)).status, 401, wrong);

  // A browser cannot set headers of a WebSocket: it offers the token among its protocols, and hears of another.
  for (const path of ['/alice/changefeed', `/v1/machines/${machine}/exec`]) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, ['cenote', `x-auth-token.${made.token}`]);
    await once(socket, 'open');
    assert.equal(socket.protocol, 'cenote');
    socket.terminate();
  }

  // Another account sees nothing of it; it ends with a word, and another with its key.
  assert.equal((await bob.send('GET', '/v1/accounts/alice/tokens')).status, 404);
  assert.equal((await bob.send('DELETE', `/v1/accounts/bob/tokens/${made.id}`)).status, 404);
  const [listed] = (await alice.send('GET', '/v1/accounts/alice/tokens')).body as Token[];
  assert.deepEqual([listed!.id, JSON.stringify(listed).includes(made.token)], [made.id, false]);
  assert.equal((await alice.send('DELETE', `/v1/accounts/alice/tokens/${made.id}`)).status, 204);
  assert.equal((await use('GET', '/my/machines')).status, 401);
  const second = (await alice.send('POST', '/v1/accounts/alice/tokens')).body as MadeToken;
  const operators = await fixture.client.tokenCreate('alice', {});
  assert.equal((await use('GET', '/my/machines', {}, second.token)).status, 200);
  await alice.send('DELETE', '/my/keys/first');
  assert.equal((await use('GET', '/my/machines', {}, second.token)).status, 401);
  assert.equal((await use('GET', '/my/machines', {}, operators.token)).status, 200, 'made with no key');
  await fixture.client.accountDisable('alice');
  assert.equal((await use('GET', '/my/machines', {}, operators.token)).status, 403);
});

test('tokens are bounded, in time and number', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  for (const seconds of [59, 12 * 3600 + 1, 1.5]) assert.equal((await alice.send('POST', '/v1/accounts/alice/tokens', { json: { seconds } })).status, 400);
  const made = await Promise.all(Array.from({ length: 101 }, () => alice.send('POST', '/v1/accounts/alice/tokens')));
  assert.deepEqual(
    made
      .map(({ status }) => status)
      .toSorted((one, other) => one - other)
      .slice(-2),
    [201, 403],
  );
});
