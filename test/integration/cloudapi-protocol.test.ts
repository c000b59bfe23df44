/** CloudAPI's frame: signatures, versions, headers, bodies, errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { becomes, cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { md5Of, SignedClient } from '../support/signed-client.ts';
import type { Reply } from '../support/signed-client.ts';

const codeOf = ({ status, body }: Reply): [number, unknown] => [status, (body as { code?: unknown } | undefined)?.code];

test('who signs, and how', async () => {
  await using here = await cloudApiFixture();
  const { alice, keys, url } = here;
  assert.equal((await alice.send('GET', '/my')).status, 200);
  assert.equal((await alice.send('GET', '/alice')).status, 200);
  assert.equal((await alice.send('GET', '/my', { signedHeaders: ['date'] })).status, 200);
  assert.equal((await alice.send('GET', '/my', { keyId: '/alice/keys/first' })).status, 200);
  assert.equal((await alice.send('GET', '/my', { keyId: `/alice/keys/${keys.alice.fingerprint('sha256').toString()}` })).status, 200);
  assert.equal((await alice.send('GET', '/my', { algorithm: 'ecdsa-sha512' })).status, 200);
  const id = ((await alice.send('GET', '/my')).body as { id: string }).id;
  assert.equal((await alice.send('GET', `/${id}`)).status, 200);

  const refused = [401, 'InvalidCredentials'];
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { unsigned: true })), refused);
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { keyId: '/nobody/keys/first' })), refused);
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { keyId: '/alice/keys/second' })), refused);
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { keyId: '/bob/keys/first' })), refused);
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { keyId: 'first' })), refused);
  assert.deepEqual(codeOf(await new SignedClient(url, 'alice', sshpk.generatePrivateKey('ecdsa')).send('GET', '/my', { keyId: '/alice/keys/first' })), refused);
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { sendPath: '/my/machines' })), refused);
  for (const minutes of [-6, 6]) assert.deepEqual(codeOf(await alice.send('GET', '/my', { date: new Date(Date.now() + minutes * 60_000) })), refused);
  for (const minutes of [-4, 4]) assert.equal((await alice.send('GET', '/my', { date: new Date(Date.now() + minutes * 60_000) })).status, 200);
  // Without the date among what is signed, a request could be sent again for ever.
  assert.deepEqual(codeOf(await alice.send('GET', '/my', { signedHeaders: ['(request-target)'] })), [400, 'InvalidHeader']);
  for (const authorization of ['Signature', 'Signature keyId="x"', 'Signature ]', `Signature keyId="/alice/keys/first",algorithm="hmac-sha256",signature="aa"`])
    assert.ok([400, 401].includes((await alice.send('GET', '/my', { unsigned: true, headers: { authorization } })).status), authorization);
  for (const authorization of ['Basic YWxpY2U6YWxpY2U=', 'Bearer x'])
    assert.deepEqual(codeOf(await alice.send('GET', '/my', { unsigned: true, headers: { authorization } })), refused);
});

test('RSA with SHA-1, and the form of 2011', async () => {
  await using here = await cloudApiFixture();
  const { generateKeyPairSync } = await import('node:crypto');
  const key = sshpk.parsePrivateKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }), 'pem');
  await here.fixture.client.keyAdd('alice', { name: 'old', key: key.toPublic().toString('ssh') });
  const old = new SignedClient(here.url, 'alice', key);
  assert.equal((await old.send('GET', '/my', { algorithm: 'rsa-sha1', signedHeaders: ['date'] })).status, 200);
  const date = new Date().toUTCString();
  const signer = key.createSign('sha256');
  signer.update(date);
  const authorization = (text: string) => `Signature keyId="/alice/keys/old",algorithm="rsa-sha256" ${text}`;
  const send = (text: string, headers: Record<string, string>) =>
    old.send('GET', '/my', { unsigned: true, headers: { ...headers, authorization: authorization(text) } });
  const signature = signer.sign().toString();
  assert.equal((await send(signature, { date })).status, 200);
  assert.equal((await send(signature, { date: new Date(Date.now() + 60_000).toUTCString() })).status, 401);
});

test('a key holds and ceases to hold at once', async () => {
  await using here = await cloudApiFixture();
  const key = sshpk.generatePrivateKey('ed25519');
  const second = new SignedClient(here.url, 'alice', key);
  assert.equal((await second.send('GET', '/my')).status, 401);
  const made = await here.alice.send('POST', '/my/keys', { json: { name: 'two', key: key.toPublic().toString('ssh') } });
  assert.deepEqual([made.status, made.headers['location']], [201, '/alice/keys/two']);
  assert.equal((await second.send('GET', '/my')).status, 200);
  assert.deepEqual(codeOf(await here.alice.send('POST', '/my/keys', { json: { name: 'two', key: key.toPublic().toString('ssh') } })), [409, 'InvalidArgument']);
  assert.equal((await second.send('DELETE', '/my/keys/two')).status, 204);
  assert.equal((await second.send('GET', '/my')).status, 401);
});

test('what every answer carries', async () => {
  await using here = await cloudApiFixture();
  const reply = await here.alice.send('GET', '/my', { headers: { 'accept-version': '~9||~8' } });
  const { headers } = reply;
  assert.equal(headers['content-md5'], md5Of(reply.text));
  assert.match(String(headers['server']), /^cloudapi\/9\.\d+\.\d+$/);
  assert.match(String(headers['api-version']), /^9\./);
  assert.match(String(headers['request-id']), /^[0-9a-f-]{36}$/);
  assert.match(String(headers['response-time']), /^\d+$/);
  assert.match(headers['content-type']!, /^application\/json/);
  assert.ok(Math.abs(Date.parse(headers.date!) - Date.now()) < 60_000);
  const head = await here.alice.send('HEAD', '/my');
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.ok(Number(head.headers['content-length']) > 0);
  const refused = await here.alice.send('GET', '/my/machines/x');
  assert.equal(refused.headers['content-md5'], md5Of(refused.text));
  const ping = await here.alice.send('GET', '/--ping', { unsigned: true });
  assert.deepEqual([ping.status, ping.headers['triton-datacenter-name'], (ping.body as { ping: string }).ping], [200, 'here', 'pong']);
});

test('versions', async () => {
  await using here = await cloudApiFixture();
  const asked = async (range: string) => (await here.alice.send('GET', '/my', { headers: { 'accept-version': range } })).headers['api-version'];
  assert.equal(await asked('~7.2'), '7.2.0');
  assert.equal(await asked('8'), '8.0.0');
  assert.deepEqual(codeOf(await here.alice.send('GET', '/my', { headers: { 'accept-version': '~6' } })), [449, 'InvalidVersion']);
  const id = await makeMachine(here.alice, 'web');
  const machine = async (version: string) => (await here.alice.send('GET', `/my/machines/${id}`, { headers: { 'accept-version': version } })).body as object;
  assert.deepEqual(['brand' in (await machine('7.3.0')), 'brand' in (await machine('8'))], [false, true]);
});

test('bodies in every form, and what is wrong with them', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  const email = async (options: Parameters<SignedClient['send']>[2], path = '/my') =>
    ((await alice.send('POST', path, options)).body as { email: string }).email;
  assert.equal(await email({ json: { email: 'a@example.com' } }), 'a@example.com');
  assert.equal(await email({ raw: { type: 'application/x-www-form-urlencoded', text: 'email=b%40example.com' } }), 'b@example.com');
  assert.equal(await email({}, '/my?email=c%40example.com'), 'c@example.com');
  assert.deepEqual(codeOf(await alice.send('POST', '/my', { raw: { type: 'application/json', text: '{' } })), [400, 'BadRequest']);
  assert.deepEqual(codeOf(await alice.send('POST', '/my', { raw: { type: 'application/json', text: '[]' } })), [400, 'BadRequest']);
  assert.deepEqual(codeOf(await alice.send('POST', '/my', { raw: { type: 'text/xml', text: '<a/>' } })), [415, 'UnsupportedMediaType']);
  const large = await alice.send('POST', '/my', { json: { email: 'x'.repeat(2 ** 20) } }).catch(() => undefined);
  if (large !== undefined) assert.deepEqual(codeOf(large), [413, 'RequestTooLarge']);
  assert.deepEqual(codeOf(await alice.send('POST', '/my', { json: { nosuch: 1 } })), [409, 'InvalidArgument']);
  const missing = await alice.send('POST', '/my/machines', { json: { name: 'web' } });
  assert.deepEqual(codeOf(missing), [409, 'MissingParameter']);
  assert.deepEqual(
    (missing.body as { errors: { field: string; code: string }[] }).errors.map(({ field, code }) => [field, code]),
    [
      ['package', 'Missing'],
      ['image', 'Missing'],
    ],
  );
  assert.deepEqual(codeOf(await alice.send('DELETE', '/my/machines')), [405, 'MethodNotAllowed']);
  assert.deepEqual(codeOf(await alice.send('GET', '/my/nosuch')), [404, 'ResourceNotFound']);
  assert.deepEqual(codeOf(await alice.send('GET', '/my/keys/%ff')), [404, 'ResourceNotFound']);
});

test('who offers another protocol is answered in this one', async () => {
  await using here = await cloudApiFixture();
  const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' };
  assert.equal((await here.alice.send('GET', '/my', { headers })).status, 200);
});

test('an instance that ends again and again says how', async () => {
  await using here = await cloudApiFixture();
  const { alice, fixture } = here;
  const id = await makeMachine(alice, 'web');
  const exit = { code: 3, signal: null, outOfMemory: false, at: '2026-01-01T00:00:01.000Z', reason: 'exited with code 3' };
  Object.assign(fixture.agent.machines.get(id)!.status, { state: 'provisioning', exit, restarts: 2, restartAt: '2026-01-01T00:00:05.000Z' });
  fixture.agent.emit('machine.exited', id, exit.reason);
  const { body } = await becomes(alice, id, 'provisioning');
  assert.equal((body as { error: string }).error, 'exited with code 3; it was started again 2 times, and the next try is at 2026-01-01T00:00:05.000Z');
});

test('too many requests are told when to come again', async () => {
  await using here = await cloudApiFixture({
    cloudapi: { address: '127.0.0.1', port: 0, datacenter: 'here', perAccount: { perSecond: 0.5, burst: 3 }, perAddress: { perSecond: 1000, burst: 1000 } },
  });
  const replies = [];
  for (let count = 0; count < 5; count++) replies.push(await here.alice.send('GET', '/my'));
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 200, 200, 429, 429],
  );
  assert.deepEqual([replies[0]!.headers['x-ratelimit-remaining'], codeOf(replies[3]!)[1]], ['2', 'RequestThrottled']);
  assert.ok(Number(replies[3]!.headers['retry-after']) >= 1);
  assert.equal((await here.bob.send('GET', '/my')).status, 200);
});
