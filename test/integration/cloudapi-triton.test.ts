/** The `triton` command line, unmodified, against a control plane with a simulated host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlFixture } from '../support/control-fixture.ts';
import type { ControlFixture } from '../support/control-fixture.ts';
import { person } from '../support/triton.ts';
import type { KeyKind, Person } from '../support/triton.ts';

const baseImage = '11111111-1111-4111-8111-111111111111';

interface World extends AsyncDisposable {
  fixture: ControlFixture;
  alice: Person;
}

const world = async (kind: KeyKind = 'rsa', address = '127.0.0.1'): Promise<World> => {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.use(await controlFixture({ cloudapi: { address, port: 0, datacenter: 'here' } }));
  const { cloudapi } = await fixture.client.info();
  const alice = stack.use(await person('alice', cloudapi!, kind));
  await fixture.client.accountCreate({ name: 'alice', keys: [{ key: alice.publicKey }] });
  const moved = stack.move();
  return { fixture, alice, [Symbol.asyncDispose]: () => moved.disposeAsync() };
};

interface Shown {
  id: string;
  name: string;
  state: string;
  package: string;
  [name: string]: unknown;
}

for (const kind of ['rsa', 'ecdsa', 'ed25519'] as const) {
  test(`an account with an ${kind} key is known by it`, async () => {
    await using here = await world(kind);
    const account = await here.alice.json<{ login: string; id: string }>('account', 'get', '-j');
    assert.equal(account.login, 'alice');
    const [key] = await here.alice.lines<{ fingerprint: string; name: string }>('key', 'ls', '-j');
    assert.deepEqual([key?.fingerprint, key?.name], [here.alice.fingerprint, 'alice@laptop']);
  });
}

test('what there is, told', async () => {
  await using here = await world();
  const { alice } = here;
  const info = await alice.json<{ login: string; totals?: unknown }>('info', '-j');
  assert.equal(info.login, 'alice');
  const url = (await here.fixture.client.info()).cloudapi;
  assert.deepEqual(await alice.json('datacenters', '-j'), { here: url });
  assert.deepEqual(await alice.json('services', '-j'), { cloudapi: url });
  assert.match(await alice.must('packages'), /small/);
  assert.match(await alice.must('images'), /base/);
  assert.match(await alice.must('networks'), /default/);
  assert.match(await alice.must('env'), /TRITON_PROFILE/);
});

test('the life of an instance', async () => {
  await using here = await world();
  const { alice } = here;
  const [made] = await alice.lines<Shown>(
    'instance',
    'create',
    '-w',
    '-j',
    '-n',
    'web',
    '-t',
    'role=web',
    '-t',
    'count=3',
    '-m',
    'colour=blue',
    'base',
    'small',
  );
  assert.equal(made?.state, 'provisioning');
  const get = (name = 'web') => alice.json<Shown>('instance', 'get', name);
  const first = await get();
  assert.deepEqual([first.name, first.state, first.package, first['image'], first['brand']], ['web', 'running', 'small', baseImage, 'lx']);
  const [listed] = await alice.lines<Shown>('instance', 'ls', '-j');
  assert.equal(listed?.id, first.id);
  await alice.must('instance', 'stop', '-w', 'web');
  assert.equal((await get()).state, 'stopped');
  await alice.must('instance', 'start', '-w', 'web');
  assert.equal((await get()).state, 'running');
  await alice.must('instance', 'reboot', '-w', 'web');
  await alice.must('instance', 'rename', '-w', 'web', 'app');
  assert.equal((await get('app')).name, 'app');
  await alice.must('instance', 'resize', '-w', 'app', 'medium');
  assert.equal((await get('app')).package, 'medium');
  await alice.must('instance', 'delete', '-f', '-w', 'app');
  const gone = await alice.triton('instance', 'get', first.id);
  assert.equal(gone.code, 3);
});

test('with TLS on any address but the loopback', async () => {
  // An address of the loopback that is not written as one.
  await using here = await world('ed25519', '::ffff:127.0.0.1');
  const { alice } = here;
  assert.match(alice.url, /^https:/);
  const untrusting = await alice.triton('account', 'get');
  assert.notEqual(untrusting.code, 0);
  assert.match(untrusting.stderr, /certificate/);
  assert.match(await alice.must('-i', 'account', 'get'), /login: alice/);
});
