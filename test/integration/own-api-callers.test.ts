/** Every route of our own API on the network, against every kind of caller: nobody, a stranger's key, a forger, an account's user, another account, the account itself. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { WebSocket } from 'ws';
import type { ErrorBody } from '../../src/base/errors.ts';
import { userRoutes } from '../../src/control/cloudapi/access/own-routes.ts';
import type { Route } from '../../src/control/http/server.ts';
import type { Event } from '../../src/model/event.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { SignedClient } from '../support/signed-client.ts';

/** What an account is refused, whatever it says, and what it says here. A new route is one of these, or an account's. */
const operators = new Map<string, unknown>([
  ['GET /v1/pool', undefined],
  ['GET /v1/backup', undefined],
  ['PUT /v1/backup', {}],
  ['GET /v1/accounts', undefined],
  ['POST /v1/accounts', { name: 'carol' }],
  ['POST /v1/accounts/:id/update', { quota: { machines: 1 } }],
  ['POST /v1/accounts/:id/disable', undefined],
  ['POST /v1/accounts/:id/enable', undefined],
  ['DELETE /v1/accounts/:id', undefined],
  ['GET /v1/dns', undefined],
  ['POST /v1/network-pools', { name: 'mine', networks: ['default'] }],
  ['POST /v1/network-pools/:id/update', { name: 'mine' }],
  ['DELETE /v1/network-pools/:id', undefined],
  ['POST /v1/packages', { name: 'mine', resources: {} }],
  ['POST /v1/packages/:name/update', { resources: {} }],
  ['DELETE /v1/packages/:name', undefined],
  ['POST /v1/platforms', { name: 'mine', include: [] }],
  ['DELETE /v1/platforms/:name/:version', undefined],
]);

/** Valid ones where a route takes no empty body. */
const bodies: Readonly<Record<string, unknown>> = {
  'POST /v1/machines': { name: 'other', image: 'base' },
  'POST /v1/machines/:id/rename': { name: 'renamed' },
  'POST /v1/machines/:id/snapshots': { name: 'second' },
  'POST /v1/fwrules': { rule: 'FROM any TO all vms ALLOW tcp PORT 80' },
  'POST /v1/fwrules/:id/update': { enabled: true },
  'POST /v1/networks': { name: 'other', subnet: '192.168.20.0/24' },
  'POST /v1/networks/:id/update': { name: 'renamed' },
  'POST /v1/networks/:id/addresses/:address': { reserved: true },
  'POST /v1/vlans': { id: 7, name: 'seven' },
  'POST /v1/vlans/:id/update': { name: 'renamed' },
  'POST /v1/machines/:id/nics': { network: 'back' },
  'POST /v1/machines/:id/nics/:mac/addresses': {},
  'POST /v1/floating-addresses': { network: 'default' },
  'POST /v1/floating-addresses/:address/attach': { machine: 'web' },
  'POST /v1/accounts/:id/keys': { key: 'none' },
  ...Object.fromEntries(operators),
};

const queries: Readonly<Record<string, string>> = {
  files: '?path=/etc',
  test: '?from=192.0.2.1&to=192.0.2.2&protocol=tcp&port=80',
  images: '?request=%7B%22name%22%3A%22mine%22%7D',
};

const nameOf = ({ method, url }: Route): string => `${method} ${url}`;

const pathOf = (route: Route, names: Record<string, string>): string => {
  const { url, method } = route;
  const path = url.replaceAll(/:(\w+)/g, (_whole, name: string) => {
    const noun = url.split('/')[2]!;
    return encodeURIComponent(names[name === 'id' ? noun : name] ?? 'nosuch');
  });
  const last = url.split('/').at(-1)!;
  return `${path}${last === 'images' && method === 'GET' ? '' : (queries[last] ?? '')}`;
};

const ask = (who: SignedClient, route: Route, path: string, more: object = {}) => {
  const body = bodies[nameOf(route)] ?? (route.method === 'POST' || route.method === 'PUT' ? {} : undefined);
  return who.send(route.method, path, { ...(body === undefined ? {} : { json: body }), ...more });
};

const codeOf = (body: unknown): string | undefined => (body as ErrorBody | undefined)?.code;

test('every route, every caller', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  const machine = await makeMachine(alice, 'web');
  await alice.send('POST', `/v1/machines/${machine}/snapshots?wait=10`, { json: { name: 'first' } });
  const rule = (await alice.send('POST', '/v1/fwrules', { json: { rule: 'FROM any TO all vms ALLOW tcp PORT 22' } })).body as { id: string };
  const network = (await alice.send('POST', '/v1/networks', { json: { name: 'back', subnet: '192.168.10.0/24' } })).body as { id: string };
  const { body: jobs } = await alice.send('GET', `/v1/machines/${machine}/jobs`);
  const { client } = fixture;
  const operated = (await client.machineCreate({ name: 'operated' }, { wait: 10 })).machine!.id;
  const names = {
    machines: machine,
    jobs: (jobs as { id: string }[])[0]!.id,
    fwrules: rule.id,
    networks: network.id,
    vlans: '2',
    address: '192.168.10.9',
    mac: '02cec0a80a02',
    accounts: 'alice',
    name: 'first',
    key: 'first',
    packages: 'tiny',
  };

  // One of alice's own users, with a key of his.
  const key = sshpk.generatePrivateKey('ecdsa');
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  await alice.send('POST', '/my/users/carol/keys', { json: { name: 'laptop', key: key.toPublic().toString('ssh') } });
  const carol = new SignedClient(here.url, 'alice', key);
  const carolsKey = `/alice/users/carol/keys/${key.fingerprint('md5').toString('hex')}`;

  const routes = fixture.control.accountRoutes();
  assert.deepEqual(
    userRoutes.filter((route) => !routes.map(nameOf).includes(route)),
    [],
    'users come by routes that there are',
  );
  assert.deepEqual(routes.map(nameOf), fixture.control.routes.map(nameOf), 'the same routes as on the unix socket');
  for (const route of routes) {
    const [told, path] = [nameOf(route), pathOf(route, names)];
    const nobody = await ask(alice, route, path, { unsigned: true });
    assert.deepEqual([nobody.status, codeOf(nobody.body)], [401, 'unauthorized'], told);
    const forged = await ask(bob, route, path, { keyId: '/alice/keys/first' });
    assert.deepEqual([forged.status, codeOf(forged.body)], [401, 'unauthorized'], told);
    const late = await ask(alice, route, path, { date: new Date(Date.now() - 400_000) });
    assert.deepEqual([late.status, /more than 300 seconds/.test(late.text)], [401, true], told);
    const moved = await ask(alice, route, path, { sendPath: '/v1/info?x=1' });
    assert.equal(moved.status, 401, told);
    const user = await ask(carol, route, path, { keyId: carolsKey });
    if (!['GET /v1/info', 'POST /v1/accounts/:id/tokens'].includes(told)) assert.deepEqual([user.status, codeOf(user.body)], [403, 'forbidden'], told);
    if (operators.has(told)) {
      const { status, body } = await ask(alice, route, path);
      assert.deepEqual([told, status, codeOf(body)], [told, 403, 'forbidden']);
    }
  }

  // What is another's is as what there never was.
  const strange = '00000000-0000-4000-8000-000000000000';
  const nosuch = { ...names, machines: strange, jobs: strange, fwrules: strange, networks: strange, accounts: 'nosuch' };
  const named = routes.filter((route) => /\/(machines|jobs|fwrules|networks|accounts)\/:id/.test(route.url) && !operators.has(nameOf(route)));
  assert.ok(named.length > 20, `${named.length} routes`);
  for (const route of named) {
    for (const mine of [names, { ...names, machines: operated }]) {
      const [theirs, nobodys] = [await ask(bob, route, pathOf(route, mine)), await ask(bob, route, pathOf(route, nosuch))];
      const blank = (text: string) => [...Object.values(mine), ...Object.values(nosuch)].reduce((left, word) => left.replaceAll(word, '?'), text);
      assert.deepEqual([nameOf(route), theirs.status, blank(theirs.text)], [nameOf(route), nobodys.status, blank(nobodys.text)]);
      assert.ok(theirs.status >= 400 && theirs.status < 500, `${nameOf(route)}: ${theirs.text}`);
      if (route.method === 'GET' || route.method === 'DELETE')
        assert.equal(theirs.status === 404 || route.url.endsWith('/exec'), true, `${nameOf(route)}: ${theirs.text}`);
    }
  }
  assert.equal((await client.machineGet('operated')).state, 'running', 'nobody touched it');

  for (const route of routes.filter(({ method }) => method === 'GET')) {
    if (operators.has(nameOf(route))) continue;
    const own = await ask(alice, route, pathOf(route, { ...names, images: 'base' }));
    assert.ok(own.status < 500 && ![401, 403].includes(own.status), `${nameOf(route)}: ${own.status} ${own.text}`);
  }
  assert.equal(((await alice.send('GET', `/v1/machines/${machine}`)).body as { state: string }).state, 'running');
});

test('a user may do here what an active role grants', async () => {
  await using here = await cloudApiFixture();
  const { alice, url } = here;
  const [front, back] = [await makeMachine(alice, 'front'), await makeMachine(alice, 'back')];
  const key = sshpk.generatePrivateKey('ecdsa');
  await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
  await alice.send('POST', '/my/users/carol/keys', { json: { name: 'laptop', key: key.toPublic().toString('ssh') } });
  const rules = ['CAN getmachine, listmachines and createmachine', 'CAN getmachinelogs', 'CAN execmachine WHEN tag_tier::string = front'];
  await alice.send('POST', '/my/policies', { json: { name: 'look', rules } });
  await alice.send('POST', '/my/roles', {
    json: { name: 'looker', members: [{ type: 'subuser', login: 'carol', default: true }], policies: [{ name: 'look' }] },
  });
  for (const path of ['machines', `machines/${front}`]) await alice.send('PUT', `/my/${path}`, { json: { 'role-tag': ['looker'] } });
  const carol = new SignedClient(url, 'alice', key);
  const keyId = `/alice/users/carol/keys/${key.fingerprint('md5').toString('hex')}`;
  const ask = (method: string, path: string, more: object = {}) => carol.send(method, path, { keyId, ...more });
  const status = async (method: string, path: string, more: object = {}) => (await ask(method, path, more)).status;

  assert.deepEqual(
    ((await ask('GET', '/v1/machines')).body as { id: string }[]).map(({ id }) => id),
    [front],
  );
  for (const name of ['front', front]) assert.equal(await status('GET', `/v1/machines/${name}`), 200, name);
  for (const name of ['back', back, 'nosuch']) assert.equal(await status('GET', `/v1/machines/${name}`), 403, name);
  assert.equal(await status('GET', '/v1/machines/front/logs'), 200);
  assert.equal(await status('POST', '/v1/machines/front/stop', { json: {} }), 403);
  assert.equal(await status('GET', '/v1/events'), 403);
  await alice.send('POST', '/v1/machines/back/snapshots?wait=10', { json: { name: 'first' } });
  const clone = await ask('POST', '/v1/machines', { json: { name: 'mine', fromSnapshot: { machine: 'back', name: 'first' } } });
  assert.deepEqual([clone.status, codeOf(clone.body)], [400, 'invalid_argument'], 'not the data of a machine that is not to be seen');
  assert.equal(await status('POST', '/v1/machines', { json: { name: 'mine', image: 'base' } }), 201);

  const exec = async (): Promise<number> => {
    const path = `/v1/machines/${front}/exec`;
    const socket = new WebSocket(`${url.replace('http', 'ws')}${carol.presigned(path, { keyId })}`);
    return new Promise((resolve) => {
      socket.on('open', () => {
        socket.terminate();
        resolve(101);
      });
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode!));
    });
  };
  assert.equal(await exec(), 403);
  await alice.send('POST', `/my/machines/${front}/tags`, { json: { tier: 'front' } });
  await eventually(exec, (code) => code === 101);
  const admin = { name: 'administrator', members: [{ type: 'subuser', login: 'carol', default: true }] };
  const { id: role } = (await alice.send('POST', '/my/roles', { json: admin })).body as { id: string };
  for (const path of ['/v1/machines/back', '/v1/events', '/v1/accounts/alice/keys']) assert.equal(await status('GET', path), 200, path);
  assert.equal(await status('GET', '/v1/pool'), 403, 'an administrator of an account is no operator');
  await alice.send('DELETE', `/my/roles/${role}`);
  const { body } = await ask('POST', '/v1/accounts/alice/tokens');
  const byToken = (path: string) => carol.send('GET', path, { unsigned: true, headers: { 'x-auth-token': (body as { token: string }).token } });
  assert.deepEqual(
    [(await byToken('/v1/machines/front')).status, (await byToken('/v1/machines/back')).status, (await byToken('/my/keys')).status],
    [200, 403, 403],
  );
});

test('of the host, and of others, an account is told nothing', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  const { client } = fixture;
  await client.machineCreate({ name: 'operated' }, { wait: 10 });
  const theirs = await makeMachine(bob, 'theirs');
  const made = (await bob.send('POST', '/my/images', { json: { machine: theirs, name: 'secret', version: '1' } })).body as { id: string };

  const info = (await alice.send('GET', '/v1/info')).body as Record<string, unknown>;
  assert.deepEqual([info['operator'], info['store'], info['agent']], [false, null, null]);
  assert.match(String(info['caller']), /^alice with key /);
  const events = await alice.send('GET', '/v1/events');
  assert.doesNotMatch(events.text, /operated|theirs|secret/);
  assert.deepEqual((await alice.send('GET', '/v1/machines')).body, []);
  await eventually(
    async () => (await bob.send('GET', '/v1/images')).body as { name: string }[],
    (images) => images.some(({ name }) => name === 'secret@1'),
  );
  const images = await alice.send('GET', '/v1/images');
  assert.doesNotMatch(images.text, new RegExp(`secret|${made.id}`));
  assert.equal((await alice.send('GET', `/v1/images/${made.id}`)).status, 404);
  assert.equal((await alice.send('GET', `/v1/images/i-${made.id}`)).status, 404);
  for (const image of [made.id, `i-${made.id}`, 'secret', 'secret@1']) {
    const refused = await alice.send('POST', '/v1/machines', { json: { name: 'x', image } });
    assert.deepEqual([refused.status, codeOf(refused.body)], [400, 'invalid_argument'], refused.text);
  }
  assert.equal((await bob.send('POST', '/v1/machines?wait=10', { json: { name: 'copy', image: 'secret' } })).status, 201);

  const { address } = (await bob.send('GET', `/v1/machines/${theirs}`)).body as { address: string };
  await bob.send('POST', `/v1/machines/${theirs}/update?wait=10`, { json: { firewallEnabled: true } });
  const judged = await alice.send('GET', `/v1/firewall/test?from=192.0.2.1&to=${address}&protocol=tcp&port=80`);
  assert.doesNotMatch(judged.text, new RegExp(`theirs|${theirs}`));

  const { id: operated } = await client.machineGet('operated');
  fixture.agent.emit('governor.reclaimed', theirs, '1M that theirs had borrowed was taken back: operated claimed its guarantee', { claimant: operated });
  const told = await eventually(
    async () => (await bob.send('GET', '/v1/events')).text,
    (text) => text.includes('governor.reclaimed'),
  );
  assert.match(told, /taken back: a neighbour claimed its guarantee/);
  assert.doesNotMatch(told, new RegExp(`${operated}|operated claimed`));

  const huge = await alice.send('POST', '/v1/machines', { json: { name: 'huge', resources: { memoryMib: 900_000_000, memoryCeilingMib: 900_000_000 } } });
  assert.deepEqual([huge.status, codeOf(huge.body), /\d/.test((huge.body as ErrorBody).message)], [409, 'not_enough', false], huge.text);
  const refused = await eventually(
    async () => (await alice.send('GET', '/v1/events?subject=huge')).text,
    (text) => text.includes('machine.refused'),
  );
  const { message, detail } = JSON.parse(refused) as Event;
  assert.equal(message, 'create of huge was refused: the host has not enough left of what is asked for');
  assert.deepEqual(detail, { action: 'create', code: 'not_enough', reason: 'the host has not enough left of what is asked for' });
  assert.equal((await bob.send('GET', '/v1/events?subject=huge')).text, '', 'it is nobody else’s affair');
});

test('rates are those of CloudAPI, and shared with it', async () => {
  await using here = await cloudApiFixture({ cloudapi: { address: '127.0.0.1', port: 0, datacenter: 'here', perAccount: { perSecond: 0.001, burst: 3 } } });
  const first = await here.alice.send('GET', '/v1/info');
  assert.deepEqual([first.status, first.headers['x-ratelimit-remaining']], [200, '2']);
  await here.alice.send('GET', '/my');
  await here.alice.send('GET', '/v1/machines');
  const last = await here.alice.send('GET', '/v1/info');
  assert.deepEqual([last.status, codeOf(last.body), Number(last.headers['retry-after']) > 0], [429, 'too_busy', true]);
  assert.equal((await here.alice.send('GET', '/my')).status, 429);
  assert.equal((await here.bob.send('GET', '/v1/info')).status, 200);
});

test('an upgrade is refused as a request is, and never hangs', async () => {
  await using here = await cloudApiFixture();
  const { port, hostname } = new URL(here.url);
  const upgrade = async (path: string): Promise<string> => {
    const socket = connect(Number(port), hostname);
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    );
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(socket, 'close');
    return text;
  };
  assert.match(await upgrade('/v1/machines/web/exec'), /^HTTP\/1.1 401 .*"unauthorized"/s);
  assert.match(await upgrade('/v1/nothing'), /^HTTP\/1.1 401 /);
  assert.match(await upgrade('/alice/machines'), /^HTTP\/1.1 40\d /);
});

test('no account is called as our paths are', async () => {
  await using here = await cloudApiFixture();
  await assert.rejects(here.fixture.client.accountCreate({ name: 'v1' }), { code: 'invalid_argument' });
});
