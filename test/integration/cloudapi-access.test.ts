/** Users, roles and policies: made by `triton rbac`, and what they then allow. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { SignedClient } from '../support/signed-client.ts';
import { tritonWorld } from '../support/triton-world.ts';

test('a user may do what an active role grants on what is tagged with it', async () => {
  await using here = await cloudApiFixture();
  const { alice, url } = here;
  const [one, two] = [await makeMachine(alice, 'one'), await makeMachine(alice, 'two')];
  await alice.send('POST', `/my/machines/${one}/tags`, { json: { tier: 'front' } });
  const key = sshpk.generatePrivateKey('ecdsa');
  const post = async (path: string, json: object) => {
    const reply = await alice.send('POST', path, { json });
    assert.equal(reply.status, 201, reply.text);
    return reply.body as { id: string };
  };
  await post('/my/users', { login: 'carol', email: 'carol@example.com', password: 'secret123' });
  await post('/my/users/carol/keys', { name: 'laptop', key: key.toPublic().toString('ssh') });
  await post('/my/policies', { name: 'read', rules: ['CAN getmachine and listmachines', 'CAN rebootmachine WHEN tag_tier::string = front'] });
  await post('/my/policies', { name: 'nowhere', rules: ['CAN * WHEN sourceip = 192.0.2.0/24'] });
  await post('/my/roles', { name: 'reader', members: [{ type: 'subuser', login: 'carol', default: true }], policies: [{ name: 'read' }, { name: 'nowhere' }] });
  await post('/my/roles', { name: 'spare', members: ['carol'], policies: ['read'] });
  const put = (path: string, roles: string[]) => alice.send('PUT', path, { json: { 'role-tag': roles } });

  const keyId = `/alice/users/carol/keys/${key.fingerprint('md5').toString('hex')}`;
  const carol = new SignedClient(url, 'alice', key);
  const status = async (method: string, path: string, more: object = {}) => (await carol.send(method, path, { keyId, ...more })).status;
  assert.equal(await status('GET', '/alice/machines'), 403);
  assert.equal((await put('/my/machines', ['reader'])).status, 200);
  assert.equal((await put(`/my/machines/${one}`, ['reader', 'spare'])).status, 200);
  assert.equal((await put(`/my/machines/${two}`, ['spare'])).status, 200);
  assert.equal((await put(`/my/machines/${one}`, ['nosuch'])).status, 409);
  assert.equal((await put('/my/machines/00000000-0000-4000-8000-000000000000', ['reader'])).status, 404);
  assert.equal((await alice.send('GET', `/my/machines/${one}`)).headers['role-tag'], 'reader,spare');
  await put(`/my/machines/${one}`, ['reader']);

  const listed = await carol.send('GET', '/alice/machines', { keyId });
  assert.deepEqual(
    (listed.body as { id: string }[]).map(({ id }) => id),
    [one],
  );
  assert.equal(await status('GET', `/my/machines/${one}`), 200);
  assert.equal(await status('GET', `/my/machines/${two}`), 403);
  assert.equal(await status('GET', `/my/machines/${two}?as-role=spare`), 200);
  assert.equal(await status('GET', `/my/machines/${one}?as-role=nosuch`), 403);
  assert.equal(await status('POST', `/my/machines/${one}?action=reboot`), 202);
  assert.equal(await status('POST', `/my/machines/${one}?action=stop`), 403);
  assert.equal(await status('DELETE', `/my/machines/${one}`), 403);
  for (const path of ['/my', '/my/keys', '/my/users', '/my/roles', '/my/policies', '/my/images', '/my/limits'])
    assert.equal(await status('GET', path), 403, path);
  const audit = (await alice.send('GET', `/my/machines/${one}/audit`)).body as { action: string; caller: { keyId: string } }[];
  const reboot = audit.find(({ action }) => action === 'reboot');
  if (reboot !== undefined) assert.equal(reboot.caller.keyId, keyId);

  // A role named administrator may do all; one that is gone, and a user that is gone, nothing.
  const admin = await post('/my/roles', { name: 'administrator', members: [{ type: 'subuser', login: 'carol', default: true }] });
  assert.equal(await status('GET', '/my/users'), 200);
  assert.equal(await status('GET', `/my/machines/${two}`), 200);
  await alice.send('DELETE', `/my/roles/${admin.id}`);
  assert.equal(await status('GET', '/my/users'), 403);
  await alice.send('POST', '/my/policies/read', { json: { rules: ['CAN listmachines'] } });
  assert.equal(await status('GET', `/my/machines/${one}`), 403);
  await alice.send('DELETE', '/my/users/carol');
  assert.equal(await status('GET', '/alice/machines'), 401);
  // Another account's user of that name is somebody else.
  assert.equal((await here.bob.send('GET', '/my/users/carol')).status, 404);
});

test('keys of the account and its administrators are told to machines, however they are made', async () => {
  await using here = await cloudApiFixture();
  const { alice, fixture, keys } = here;
  const carols = sshpk.generatePrivateKey('ecdsa').toPublic().toString('ssh');
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  await alice.send('POST', '/my/users/carol/keys', { json: { name: 'laptop', key: carols } });
  const told = async (path: string, json: object) => {
    const { body } = await alice.send('POST', path, { json });
    const { metadata } = ('machine' in (body as object) ? (body as { machine: unknown }).machine : body) as { metadata?: Record<string, string> };
    return (metadata?.['root_authorized_keys'] ?? '').trim().split('\n');
  };
  const bare = (key: string) => key.split(' ').slice(0, 2).join(' ');
  const own = bare(keys.alice.toPublic().toString('ssh'));
  const asked = { image: '11111111-1111-4111-8111-111111111111', package: 'tiny' };
  assert.deepEqual((await told('/v1/machines', { name: 'one' })).map(bare), [own]);
  await alice.send('POST', '/my/roles', { json: { name: 'administrator', members: [{ type: 'subuser', login: 'carol', default: true }] } });
  assert.deepEqual((await told('/v1/machines', { name: 'two' })).map(bare), [own, bare(carols)]);
  assert.deepEqual((await told('/my/machines', { name: 'three', ...asked, 'metadata.root_authorized_keys': 'none' })).map(bare), [own, bare(carols)]);
  assert.deepEqual(await told('/v1/machines', { name: 'four', metadata: { root_authorized_keys: 'mine' } }), ['mine'], 'what is said here counts');
  assert.equal((await fixture.client.machineCreate({ name: 'local' })).machine?.metadata, undefined, 'the operator has no keys');
  await fixture.client.keyAdd('default', { key: carols });
  assert.match((await fixture.client.machineCreate({ name: 'again' })).machine?.metadata?.['root_authorized_keys'] ?? '', /^ecdsa/);
});

test('roles in the words of each version', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  await alice.send('POST', '/my/policies', { json: { name: 'read', rules: ['CAN getmachine'] } });
  const old = { headers: { 'accept-version': '~8' } };
  const made = await alice.send('POST', '/my/roles', { ...old, json: { name: 'ops', default_members: ['carol'], policies: ['read'] } });
  const { id, ...body } = made.body as { id: string };
  assert.deepEqual(body, { name: 'ops', members: ['carol'], default_members: ['carol'], policies: ['read'] });
  const now = (await alice.send('GET', `/my/roles/${id}`)).body as { members: { login: string; default: boolean }[]; policies: { name: string }[] };
  assert.deepEqual([now.members[0]!.login, now.members[0]!.default, now.policies[0]!.name], ['carol', true, 'read']);
  const wrong = await alice.send('POST', '/my/policies', { json: { name: 'bad', rules: ['CAN getmachine WHEN'] } });
  assert.deepEqual([wrong.status, (wrong.body as { code: string }).code], [409, 'InvalidArgument']);
});

test('what is not said of a role stays', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  for (const login of ['carol', 'dan', 'erin'])
    await alice.send('POST', '/my/users', { json: { login, email: `${login}@example.com`, password: 'secret123' } });
  await alice.send('POST', '/my/roles', { json: { name: 'ops', members: ['carol', 'dan'], default_members: ['carol'] } });
  const members = async (json: object) => {
    const { body } = await alice.send('POST', '/my/roles/ops', { json });
    return (body as { members: { login: string; default: boolean }[] }).members.map((one) => `${one.login}${one.default ? '*' : ''}`).toSorted();
  };
  assert.deepEqual(await members({ policies: [] }), ['carol*', 'dan']);
  assert.deepEqual(await members({ members: ['carol', 'erin'] }), ['carol*', 'erin']);
  assert.deepEqual(await members({ default_members: ['erin'] }), ['carol', 'erin*']);
  assert.deepEqual(await members({ default_members: ['dan'] }), ['carol', 'dan*', 'erin']);
  assert.deepEqual(await members({ members: [{ login: 'dan' }, { login: 'carol', default: true }] }), ['carol*', 'dan*']);
  assert.deepEqual(await members({ members: [{ login: 'dan', default: false }] }), ['dan']);
  assert.deepEqual(await members({ members: ['dan'], default_members: [] }), ['dan']);
  const tagged = await alice.send('PUT', '/my/machines', { json: { 'role-tag': ['ops', 'ops'] } });
  assert.deepEqual((tagged.body as { 'role-tag': string[] })['role-tag'], ['ops']);
});

test('triton rbac', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  const key = sshpk.generatePrivateKey('ed25519');
  await writeFile(join(alice.home, 'carol.pub'), `${key.toPublic().toString('ssh')}\n`);
  await writeFile(
    join(alice.home, 'rbac.json'),
    JSON.stringify({
      users: [{ login: 'carol', email: 'carol@example.com', firstName: 'Carol' }],
      roles: [{ name: 'ops', members: ['carol'], default_members: ['carol'], policies: ['ops'] }],
      policies: [
        { name: 'ops', description: 'keeps things going', rules: ['CAN rebootmachine and getmachine'] },
        { name: 'plain', rules: ['CAN listmachines'] },
      ],
    }),
  );
  await mkdir(join(alice.home, 'rbac-user-keys'));
  const laptop = sshpk.generatePrivateKey('ecdsa');
  await writeFile(join(alice.home, 'rbac-user-keys/carol.pub'), `${laptop.toPublic().toString('ssh')} laptop\n`);
  await alice.must('rbac', 'apply', '-y', '-f', 'rbac.json');
  // Roles the client writes each time, since it compares their members with what version 8 had; nothing else is another than it was.
  for (let time = 0; time < 2; time += 1) assert.match(await alice.must('rbac', 'apply', '-y', '-f', 'rbac.json'), /^Updated role ops: .*\n$/);
  assert.match(await alice.must('rbac', 'roles', '-H'), /ops +ops +alice\/carol$/m);
  assert.match(await alice.must('rbac', 'users'), /carol/);
  assert.match(await alice.must('rbac', 'roles'), /ops/);
  assert.match(await alice.must('rbac', 'policies'), /ops/);
  assert.match(await alice.must('rbac', 'info'), /carol/);
  assert.match(await alice.must('rbac', 'user', 'carol'), /Carol|carol@example.com/);
  await alice.must('rbac', 'key', '-a', 'carol', 'carol.pub');
  assert.match(await alice.must('rbac', 'keys', 'carol'), new RegExp(key.fingerprint('md5').toString('hex')));
  await alice.must('instance', 'create', '-w', '-n', 'web', 'base', 'tiny');
  await alice.must('rbac', 'instance-role-tags', '-a', 'ops', 'web');
  assert.match(await alice.must('rbac', 'instance-role-tags', 'web'), /ops/);
  await alice.must('rbac', 'instance-role-tags', '-y', '-D', 'web');
  await alice.must('rbac', 'role', '-y', '-d', 'ops');
  await alice.must('rbac', 'policy', '-y', '-d', 'ops');
  await alice.must('rbac', 'user', '-y', '-d', 'carol');
  await alice.must('rbac', 'reset', '-y');
});

test('an account that has something of everything goes with all of it', async () => {
  await using here = await cloudApiFixture();
  const { bob, fixture } = here;
  await bob.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  const keys = await Promise.all(['/my/accesskeys', '/my/users/carol/accesskeys'].map((path) => bob.send('POST', path)));
  await bob.send('POST', '/my/policies', { json: { name: 'read', rules: ['CAN getmachine'] } });
  await bob.send('POST', '/my/roles', { json: { name: 'ops', members: ['carol'], policies: ['read'] } });
  await bob.send('PUT', '/my/machines', { json: { 'role-tag': ['ops'] } });
  await bob.send('POST', '/my/fwrules', { json: { rule: 'FROM any TO all vms ALLOW tcp PORT 80' } });
  const id = await makeMachine(bob, 'web');
  await assert.rejects(fixture.client.accountDelete('bob'), { code: 'in_use' });
  await bob.send('DELETE', `/my/machines/${id}`);
  await eventually(
    () => bob.send('GET', `/my/machines/${id}`),
    ({ status }) => status === 410,
  );
  await fixture.client.accountDelete('bob');
  assert.equal((await bob.send('GET', '/my')).status, 401);
  await fixture.client.accountCreate({ name: 'bob', keys: [{ key: here.keys.bob.toPublic().toString('ssh') }] });
  for (const path of ['/my/machines?tombstone=true', '/my/users', '/my/accesskeys', '/my/roles', '/my/policies', '/my/fwrules'])
    assert.deepEqual((await bob.send('GET', path)).body, [], path);
  await bob.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  for (const [index, { body }] of keys.entries()) {
    const { accesskeyid: id, accesskeysecret: secret } = body as { accesskeyid: string; accesskeysecret: string };
    const program = new SignedClient(here.url, 'bob', { id, secret, ...(index === 0 ? {} : { user: 'carol' }) });
    assert.equal((await program.send('GET', '/my')).status, 401, 'of an account that had the name before');
  }
});
