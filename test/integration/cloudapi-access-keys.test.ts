/** Access keys: ids and secrets by which programs sign without an SSH key, of an account and of its users; and what is never taken for them. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { WebSocket } from 'ws';
import { once } from 'node:events';
import type { MadeToken } from '../../src/model/account.ts';
import { accessKeyPattern, secretPattern } from '../../src/model/names.ts';
import { databases } from '../support/databases.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import type { CloudApiFixture } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { SignedClient } from '../support/signed-client.ts';
import { tritonWorld } from '../support/triton-world.ts';

interface WireKey {
  accesskeyid: string;
  accesskeysecret: string;
  status: string;
  description?: string;
  created: string;
  updated: string;
  credentialtype: string;
}

const make = async (who: SignedClient, path = '/my/accesskeys', json: object = {}): Promise<WireKey> => {
  const reply = await who.send('POST', path, { json });
  assert.equal(reply.status, 201, reply.text);
  return reply.body as WireKey;
};

const clientOf = ({ url }: CloudApiFixture, { accesskeyid: id, accesskeysecret: secret }: WireKey, user?: string, account = 'alice'): SignedClient =>
  new SignedClient(url, account, { id, secret, ...(user === undefined ? {} : { user }) });

const codeOf = (body: unknown): string => (body as { code: string }).code;

for (const { name, skip, with: withDatabase } of databases) {
  test(`${name}: made, used on both APIs, shown without its secret, changed and deleted`, { skip }, () =>
    withDatabase(async (database) => {
      await using here = await cloudApiFixture({ database });
      const { alice, bob } = here;
      const reply = await alice.send('POST', '/my/accesskeys', { json: { description: 'builds' } });
      const made = reply.body as WireKey;
      assert.deepEqual([reply.status, reply.headers['location']], [201, `/alice/accesskeys/${made.accesskeyid}`]);
      assert.match(made.accesskeyid, accessKeyPattern);
      assert.match(made.accesskeysecret, secretPattern);
      const { accesskeysecret, ...shown } = made;
      const { accesskeyid: id, created } = made;
      const rest = { credentialtype: 'permanent', expiration: null };
      assert.deepEqual(shown, { accesskeyid: id, status: 'Active', description: 'builds', created, updated: created, ...rest });
      for (const path of ['/my/accesskeys', `/my/accesskeys/${id}`]) {
        const seen = await alice.send('GET', path);
        assert.deepEqual([seen.body].flat(), [shown], path);
        assert.ok(!seen.text.includes(accesskeysecret), path);
      }

      const program = clientOf(here, made);
      const status = async (method: string, path: string, more: object = {}) => (await program.send(method, path, more)).status;
      assert.equal(((await program.send('GET', '/my')).body as { login: string }).login, 'alice');
      for (const path of ['/alice/machines', '/v1/machines', '/v1/accounts/alice/keys']) assert.equal(await status('GET', path), 200, path);
      assert.match(String(((await program.send('GET', '/v1/info')).body as { caller: string }).caller), new RegExp(`^alice with access key ${id} from`));
      assert.equal(await status('GET', '/bob/machines'), 403);
      for (const keyId of ['/alice/accesskeys/%00', `/%00/accesskeys/${id}`, `/alice/users/%00/accesskeys/${id}`, '/alice/keys/%00'])
        assert.equal(await status('GET', '/my', { keyId, ...(keyId.includes('/keys/') ? { algorithm: 'ecdsa-sha256' } : {}) }), 401, keyId);
      assert.equal(await status('GET', program.presigned('/my/machines'), { unsigned: true }), 200);
      const socket = new WebSocket(`${here.url.replace('http', 'ws')}/alice/changefeed`, { headers: program.signed('GET', '/alice/changefeed') });
      await once(socket, 'open');
      socket.terminate();
      const date = new Date().toUTCString();
      const oldest = `Signature keyId="/alice/accesskeys/${id}",algorithm="hmac-sha256" ${createHmac('sha256', accesskeysecret).update(date).digest('base64')}`;
      assert.equal(await status('GET', '/my', { unsigned: true, headers: { date, authorization: oldest } }), 200);

      // Others know nothing of it.
      assert.deepEqual((await bob.send('GET', '/my/accesskeys')).body, []);
      for (const method of ['GET', 'POST', 'DELETE']) {
        const theirs = await bob.send(method, `/my/accesskeys/${id}`);
        assert.deepEqual([theirs.status, codeOf(theirs.body)], [404, 'ResourceNotFound'], method);
      }

      // Inactive from the next request on, and active again; what is left out stays.
      const off = await alice.send('POST', `/my/accesskeys/${id}`, { json: { status: 'Inactive' } });
      assert.deepEqual([off.status, (off.body as WireKey).status, (off.body as WireKey).description], [200, 'Inactive', 'builds']);
      assert.equal(await status('GET', '/my'), 401);
      assert.equal(await status('GET', '/v1/machines'), 401);
      await alice.send('POST', `/my/accesskeys/${id}`, { json: { status: 'Active', description: 'tests' } });
      assert.equal(await status('GET', '/my'), 200);
      assert.equal(((await alice.send('GET', `/my/accesskeys/${id}`)).body as WireKey).description, 'tests');
      assert.equal((await alice.send('POST', `/my/accesskeys/${id}`, { json: { status: 'active' } })).status, 409);
      assert.equal(await status('DELETE', `/my/accesskeys/${id}`), 204, 'it may end itself');
      assert.equal(await status('GET', '/my'), 401);
      assert.equal((await alice.send('DELETE', `/my/accesskeys/${id}`)).status, 404);
      assert.equal((await clientOf(here, await make(alice, '/my/accesskeys', { status: 'Inactive' })).send('GET', '/my')).status, 401);
    }),
  );
}

test('signed as requests are by SSH keys, or refused', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, url } = here;
  const made = await make(alice);
  const { accesskeyid: id, accesskeysecret: secret } = made;
  const program = clientOf(here, made);
  const ask = async (who: SignedClient, more: Parameters<SignedClient['send']>[2] = {}): Promise<number> => {
    const { status, body } = await who.send('GET', '/my', more);
    if (status === 401) assert.equal(codeOf(body), 'InvalidCredentials');
    return status;
  };
  for (const minutes of [-6, 6]) assert.equal(await ask(program, { date: new Date(Date.now() + minutes * 60_000) }), 401);
  for (const minutes of [-4, 4]) assert.equal(await ask(program, { date: new Date(Date.now() + minutes * 60_000) }), 200);
  assert.equal(await ask(program, { sendPath: '/my/machines' }), 401);
  assert.equal(await ask(program, { signedHeaders: ['date'] }), 200);
  assert.equal(await ask(program, { signedHeaders: ['(request-target)'] }), 400);
  assert.equal(await ask(new SignedClient(url, 'alice', { id, secret: `${secret}x` })), 401);
  for (const algorithm of ['hmac-sha1', 'hmac-sha512']) assert.equal(await ask(program, { algorithm }), 401, algorithm);
  const nobodys = 'CNAK0123456789ABCDEF';
  for (const keyId of [
    `/bob/accesskeys/${id}`,
    `/alice/users/carol/accesskeys/${id}`,
    `/alice/accesskeys/${nobodys}`,
    `/alice/accesskeys/`,
    `/alice/accesskeys/%00`,
  ])
    assert.equal(await ask(program, { keyId }), 401, keyId);
  assert.equal(await ask(clientOf(here, await make(bob), undefined, 'bob'), { keyId: `/alice/accesskeys/${id}` }), 401, "another's secret");
  const [none, wrong] = [
    await program.send('GET', '/my', { keyId: `/alice/accesskeys/${nobodys}` }),
    await new SignedClient(url, 'alice', { id, secret: 'x' }).send('GET', '/my'),
  ];
  assert.equal(none.text, wrong.text, 'whether there is such a key is not told');
});

test('no key is taken for one of another kind', async () => {
  await using here = await cloudApiFixture();
  const { alice, keys, url } = here;
  const { accesskeyid: id, accesskeysecret: secret } = await make(alice);
  const program = new SignedClient(url, 'alice', { id, secret });
  // Both are known to the server's memory before anything is tried.
  assert.equal((await alice.send('GET', '/my', { keyId: '/alice/keys/first' })).status, 200);
  assert.equal((await program.send('GET', '/my')).status, 200);
  const ssh = keys.alice.toPublic();
  const { key: kept } = (await alice.send('GET', '/my/keys/first')).body as { key: string };
  const forged: [string, string, Parameters<SignedClient['send']>[2]][] = [];
  // Everybody may know a public key: with it as the secret, in each of its forms, nobody gets in.
  for (const text of [
    kept,
    `${kept}\n`,
    ssh.toString('ssh'),
    ssh.toString('ssh').split(' ')[1]!,
    ssh.toString('pem'),
    ssh.toString('pkcs8'),
    ssh.fingerprint('md5').toString('hex'),
    '',
    'undefined',
  ])
    for (const keyId of ['/alice/keys/first', `/alice/accesskeys/${id}`, '/alice/accesskeys/first', `/alice/keys/${id}`])
      forged.push(['hmac-sha256', text, { keyId }]);
  for (const [algorithm, text, more] of forged) {
    const reply = await new SignedClient(url, 'alice', { id, secret: text }).send('GET', '/my', { algorithm, ...more });
    assert.deepEqual([reply.status, codeOf(reply.body)], [401, 'InvalidCredentials'], `${text} ${more!.keyId}`);
  }
  // Nor is a secret's signature taken for an SSH key's, nor an SSH key's for a secret's, whatever they say of themselves.
  const algorithms = ['hmac-sha256', 'ecdsa-sha256', 'rsa-sha256', 'ed25519-sha512'];
  for (const keyId of ['/alice/keys/first', `/alice/accesskeys/${id}`])
    for (const algorithm of algorithms) {
      const right = keyId.includes('accesskeys') ? 'hmac-sha256' : 'ecdsa-sha256';
      const bySecret = await program.send('GET', '/my', { keyId, algorithm });
      assert.equal(bySecret.status, keyId.includes('accesskeys') && algorithm === right ? 200 : 401, `secret ${keyId} ${algorithm}`);
      const bySsh = await alice.send('GET', '/my', { keyId, algorithm });
      assert.equal(bySsh.status, keyId.includes('accesskeys') || algorithm !== right ? 401 : 200, `SSH ${keyId} ${algorithm}`);
    }
  // An SSH key may be named like an access key: it stays an SSH key.
  const named = sshpk.generatePrivateKey('ecdsa');
  await alice.send('POST', '/my/keys', { json: { name: id, key: named.toPublic().toString('ssh') } });
  const other = new SignedClient(url, 'alice', named);
  assert.equal((await other.send('GET', '/my', { keyId: `/alice/keys/${id}` })).status, 200);
  assert.equal((await other.send('GET', '/my', { keyId: `/alice/accesskeys/${id}` })).status, 401);
});

test("a user's acts as that user", async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  const [front, back] = [await makeMachine(alice, 'front'), await makeMachine(alice, 'back')];
  for (const login of ['carol', 'dave']) await alice.send('POST', '/my/users', { json: { login, email: 'x@example.com', password: 'secret123' } });
  await alice.send('POST', '/my/policies', { json: { name: 'look', rules: ['CAN getmachine, listmachines and rebootmachine', 'CAN getuseraccesskey'] } });
  const members = [{ type: 'subuser', login: 'carol', default: true }];
  await alice.send('POST', '/my/roles', { json: { name: 'looker', members, policies: [{ name: 'look' }] } });
  const made = await make(alice, '/my/users/carol/accesskeys', { description: 'builds' });
  const { accesskeyid: id } = made;
  for (const path of ['machines', `machines/${front}`, `users/carol/accesskeys/${id}`]) {
    const tagged = await alice.send('PUT', `/my/${path}`, { json: { 'role-tag': ['looker'] } });
    assert.deepEqual([tagged.status, (tagged.body as { name: string }).name], [200, `/alice/${path}`], path);
  }
  const program = clientOf(here, made, 'carol');
  const status = async (method: string, path: string, more: object = {}) => (await program.send(method, path, more)).status;
  assert.equal(await status('GET', `/my/machines/${front}`), 200);
  assert.equal(await status('GET', `/my/machines/${back}`), 403);
  assert.equal(await status('DELETE', `/my/machines/${front}`), 403);
  assert.equal(await status('GET', '/v1/machines/front'), 200);
  assert.equal(await status('GET', '/v1/machines/back'), 403);
  assert.equal(await status('POST', '/my/accesskeys', { json: {} }), 403);
  assert.equal(await status('GET', '/my/accesskeys'), 403);
  assert.equal(await status('GET', `/my/users/carol/accesskeys/${id}`), 200);
  assert.equal(await status('GET', '/my/users/carol/accesskeys'), 403);
  assert.equal(await status('POST', `/my/machines/${front}?action=reboot`), 202);
  const audit = await eventually(
    async () => (await alice.send('GET', `/my/machines/${front}/audit`)).body as { action: string; caller: { keyId: string; type: string } }[],
    (actions) => actions.some(({ action }) => action === 'reboot'),
  );
  const { caller } = audit.find(({ action }) => action === 'reboot')!;
  assert.deepEqual([caller.type, caller.keyId], ['signature', `/alice/users/carol/accesskeys/${id}`]);
  // It is carol's, and neither the account's, nor another user's, nor another account's.
  for (const keyId of [`/alice/accesskeys/${id}`, `/alice/users/dave/accesskeys/${id}`, `/bob/users/carol/accesskeys/${id}`])
    assert.equal(await status('GET', `/my/machines/${front}`, { keyId }), 401, keyId);
  assert.deepEqual((await alice.send('GET', '/my/accesskeys')).body, []);
  assert.deepEqual((await alice.send('GET', '/my/users/dave/accesskeys')).body, []);
  for (const path of [`/my/accesskeys/${id}`, `/my/users/dave/accesskeys/${id}`, `/my/users/nosuch/accesskeys/${id}`])
    for (const method of ['GET', 'POST', 'DELETE']) assert.equal((await alice.send(method, path)).status, 404, `${method} ${path}`);
  assert.equal((await bob.send('GET', '/my/users/carol/accesskeys')).status, 404);
  assert.deepEqual(
    ((await alice.send('GET', '/my/users/carol/accesskeys')).body as WireKey[]).map(({ accesskeyid, description }) => [accesskeyid, description]),
    [[id, 'builds']],
  );

  // A token that it made goes with it, also while it is inactive; it does not make it active again.
  const { token } = (await program.send('POST', '/v1/accounts/alice/tokens')).body as MadeToken;
  const byToken = async (method: string, path: string, more: object = {}) =>
    (await bob.send(method, path, { unsigned: true, headers: { 'x-auth-token': token }, ...more })).status;
  assert.equal(await byToken('GET', `/my/machines/${front}`), 200);
  await alice.send('POST', `/my/users/carol/accesskeys/${id}`, { json: { status: 'Inactive' } });
  assert.deepEqual([await byToken('GET', `/my/machines/${front}`), await status('GET', `/my/machines/${front}`)], [401, 401]);
  await alice.send('POST', `/my/users/carol/accesskeys/${id}`, { json: { status: 'Active' } });
  assert.deepEqual([await byToken('GET', `/my/machines/${front}`), await status('GET', `/my/machines/${front}`)], [200, 200]);
  const own = (await alice.send('POST', '/v1/accounts/alice/tokens')).body as MadeToken;
  const asOwn = (json: object) => bob.send('POST', `/my/users/carol/accesskeys/${id}`, { unsigned: true, headers: { 'x-auth-token': own.token }, json });
  assert.equal((await asOwn({ status: 'Active' })).status, 403);
  assert.equal((await asOwn({ status: 'Inactive' })).status, 200);
  await alice.send('POST', `/my/users/carol/accesskeys/${id}`, { json: { status: 'Active' } });

  await fixture.client.accountDisable('alice');
  assert.equal(await status('GET', `/my/machines/${front}`), 403);
  assert.equal(await status('GET', '/v1/machines'), 403);
  assert.equal((await new SignedClient(here.url, 'alice', { id, secret: 'x', user: 'carol' }).send('GET', '/my')).status, 401, 'a stranger is not told');
  await fixture.client.accountEnable('alice');
  assert.equal(await status('GET', `/my/machines/${front}`), 200);
  await alice.send('DELETE', '/my/users/carol');
  assert.equal(await status('GET', `/my/machines/${front}`), 401);
});

test('as many as are needed, and no more', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'x@example.com', password: 'secret123' } });
  for (const path of ['/my/accesskeys', '/my/users/carol/accesskeys']) {
    const made = await Promise.all(Array.from({ length: 21 }, () => alice.send('POST', path)));
    assert.deepEqual(made.filter(({ status }) => status === 201).length, 20, path);
    const refused = made.find(({ status }) => status !== 201)!;
    assert.deepEqual([refused.status, codeOf(refused.body)], [403, 'QuotaExceeded']);
    assert.match(refused.text, /20 access keys already/);
    const ids = made.filter(({ status }) => status === 201).map(({ body }) => (body as WireKey).accesskeyid);
    assert.equal((await alice.send('DELETE', `${path}/${ids[0]}`)).status, 204);
    assert.equal((await alice.send('POST', path)).status, 201);
  }
  for (const json of [{ status: 'Expired' }, { description: 'x'.repeat(257) }, { description: 'a\nb' }, { secret: 'mine' }, { accesskeysecret: 'mine' }])
    assert.equal((await alice.send('POST', '/my/accesskeys', { json })).status, 409, JSON.stringify(json));
});

test('triton cloudapi', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  const ask = async <T>(...words: string[]): Promise<T> => JSON.parse(await alice.must('cloudapi', ...words)) as T;
  assert.deepEqual(await ask('/my/accesskeys'), []);
  const made = await ask<WireKey>('-X', 'POST', '/my/accesskeys', '-d', '{"description":"builds"}');
  assert.equal(made.status, 'Active');
  const program = new SignedClient(alice.url, 'alice', { id: made.accesskeyid, secret: made.accesskeysecret });
  assert.equal((await program.send('GET', '/my')).status, 200);
  assert.equal((await ask<WireKey[]>('/my/accesskeys')).length, 1);
  await alice.must('cloudapi', '-X', 'DELETE', `/my/accesskeys/${made.accesskeyid}`);
  assert.equal((await program.send('GET', '/my')).status, 401);
});
