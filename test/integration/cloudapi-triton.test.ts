/** The `triton` command line, unmodified, against a control plane with a simulated host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tritonWorld } from '../support/triton-world.ts';

const baseImage = '11111111-1111-4111-8111-111111111111';

interface Shown {
  id: string;
  name: string;
  state: string;
  package: string;
  updated: string;
  [name: string]: unknown;
}

for (const kind of ['rsa', 'ecdsa', 'ed25519'] as const) {
  test(`an account with an ${kind} key is known by it`, async () => {
    await using here = await tritonWorld(kind);
    const account = await here.alice.json<{ login: string; id: string }>('account', 'get', '-j');
    assert.equal(account.login, 'alice');
    const [key] = await here.alice.lines<{ fingerprint: string; name: string }>('key', 'ls', '-j');
    assert.deepEqual([key?.fingerprint, key?.name], [here.alice.fingerprint, 'alice@laptop']);
  });
}

test('what there is, told', async () => {
  await using here = await tritonWorld();
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
  await using here = await tritonWorld();
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
  const before = (await get()).updated;
  await alice.must('instance', 'rename', '-w', 'web', 'app');
  const renamed = await get('app');
  assert.equal(renamed.name, 'app');
  assert.ok(renamed.updated > before, `${renamed.updated} after ${before}`);
  await alice.must('instance', 'resize', '-w', 'app', 'medium');
  assert.equal((await get('app')).package, 'medium');
  await alice.must('instance', 'delete', '-f', '-w', 'app');
  const gone = await alice.triton('instance', 'get', first.id);
  assert.equal(gone.code, 3);
});

test('with TLS on any address but the loopback', async () => {
  // An address of the loopback that is not written as one.
  await using here = await tritonWorld('ed25519', '::ffff:127.0.0.1');
  const { alice } = here;
  assert.match(alice.url, /^https:/);
  const untrusting = await alice.triton('account', 'get');
  assert.notEqual(untrusting.code, 0);
  assert.match(untrusting.stderr, /certificate/);
  assert.match(await alice.must('-i', 'account', 'get'), /login: alice/);
});

test('an account has no more than it may', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice, fixture } = here;
  assert.deepEqual(await alice.json('account', 'limits', '-j'), []);
  await fixture.client.accountUpdate('alice', { quota: { machines: 3, memoryMib: 1400, cpuMillis: 5000 } });
  await alice.must('instance', 'create', '-w', '-n', 'one', 'base', 'medium');
  await alice.must('instance', 'create', '-w', '-n', 'two', 'base', 'small');
  const refused = await alice.triton('instance', 'create', '-w', '-n', 'three', 'base', 'small');
  assert.deepEqual(
    [refused.code, /QuotaExceeded; account alice would have 1.5G of memory, and may have 1.37G/.test(refused.stderr)],
    [1, true],
    refused.stderr,
  );
  await alice.must('instance', 'resize', '-w', 'one', 'tiny');
  await alice.must('instance', 'create', '-w', '-n', 'three', 'base', 'small');
  assert.match((await alice.triton('instance', 'create', '-n', 'four', 'base', 'tiny')).stderr, /4 machines, and may have 3/);
  assert.match((await alice.triton('instance', 'resize', 'two', 'large')).stderr, /QuotaExceeded/);
  const limits = await alice.json<{ type: string; limit: number; used: number }[]>('account', 'limits', '-j');
  assert.deepEqual(
    limits.map(({ type, limit, used }) => [type, limit, used]),
    [
      ['machines', 3, 3],
      ['ram', 1400, 576],
      ['cpu', 5, 0.27],
    ],
  );
});

test('firewall rules, and which instances they are for', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  await alice.must('instance', 'create', '-w', '--firewall', '-n', 'web', '-t', 'role=web', 'base', 'tiny');
  const { id, firewall_enabled: enabled } = await alice.json<Shown>('instance', 'get', 'web');
  assert.equal(enabled, true);
  const text = `FROM any TO vm ${id} ALLOW tcp PORT 80`;
  const said = await alice.must('fwrule', 'create', '-D', 'the site', text);
  const rule = await alice.json<{ id: string; rule: string; enabled: boolean }>('fwrule', 'get', /[0-9a-f-]{36}/.exec(said)![0]);
  assert.deepEqual([rule.rule, rule.enabled], [text, true]);
  await alice.must('fwrule', 'create', '-d', 'FROM any TO tag role = web ALLOW tcp PORT 443');
  assert.equal((await alice.lines('fwrule', 'ls', '-j')).length, 2);
  assert.match(await alice.must('fwrule', 'instances', rule.id), /web/);
  assert.equal((await alice.lines('instance', 'fwrules', 'web', '-j')).length, 2);
  await alice.must('fwrule', 'disable', rule.id);
  await alice.must('fwrule', 'enable', rule.id);
  await alice.must('fwrule', 'update', rule.id, 'description=another');
  assert.equal((await alice.json<{ description: string }>('fwrule', 'get', rule.id)).description, 'another');
  await alice.must('instance', 'disable-firewall', '-w', 'web');
  await alice.must('instance', 'enable-firewall', '-w', 'web');
  await alice.must('fwrule', 'delete', '-f', rule.id);
  assert.equal((await alice.triton('fwrule', 'get', rule.id)).code, 3);
});
