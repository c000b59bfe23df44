/** Every endpoint against every kind of caller: nobody, a stranger, another account, the account itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpoints } from '../../src/control/cloudapi/endpoints/all.ts';
import type { Endpoint } from '../../src/control/cloudapi/endpoint.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';

const routes = [...new Map(endpoints.map((one) => [`${one.method} ${one.path} ${one.action ?? ''}`, one])).values()];

/** With what alice has in every place of the path that names something. */
const pathTo = ({ path }: Endpoint, account: string, names: Record<string, string>): string =>
  path.replaceAll(/:([a-z]+)/g, (_whole, name: string) => encodeURIComponent(name === 'account' ? account : (names[name] ?? 'nosuch')));

test('every endpoint, every caller', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob } = here;
  const machine = await makeMachine(alice, 'web');
  const gone = await makeMachine(alice, 'gone');
  await alice.send('DELETE', `/my/machines/${gone}`);
  await alice.send('POST', `/my/machines/${machine}/tags`, { json: { role: 'web' } });
  await alice.send('POST', `/my/machines/${machine}/metadata`, { json: { colour: 'blue' } });
  await alice.send('POST', `/my/machines/${machine}/snapshots`, { json: { name: 'first' } });
  await alice.send('POST', '/my/fabrics/default/vlans', { json: { vlan_id: 2, name: 'two' } });
  const range = { provision_start_ip: '192.168.10.5', provision_end_ip: '192.168.10.9' };
  const back = await alice.send('POST', '/my/fabrics/default/vlans/2/networks', { json: { name: 'back', subnet: '192.168.10.0/24', ...range } });
  const network = (back.body as { id: string }).id;
  const accesskeyid = ((await alice.send('POST', '/my/accesskeys')).body as { accesskeyid: string }).accesskeyid;
  const names = { machine, accesskeyid, network, vlan: '2', ip: '192.168.10.5', tag: 'role', key: 'colour', name: 'first', mac: '02ce0a4d0002' };
  const ask = (endpoint: Endpoint, account: string, who: typeof alice, more: object = {}) =>
    who.send(endpoint.method, pathTo(endpoint, account, names), {
      ...(endpoint.method === 'POST' || endpoint.method === 'PUT' ? { json: endpoint.action === undefined ? {} : { action: endpoint.action } } : {}),
      ...more,
    });

  for (const endpoint of routes.filter(({ open }) => !open)) {
    const told = `${endpoint.name} ${endpoint.method} ${endpoint.path}`;
    const nobody = await ask(endpoint, 'alice', alice, { unsigned: true });
    assert.deepEqual([nobody.status, (nobody.body as { code: string } | undefined)?.code], [401, 'InvalidCredentials'], told);
    const forged = await ask(endpoint, 'alice', bob, { keyId: '/alice/keys/first' });
    assert.equal(forged.status, 401, told);
    // Whether there is such an account is not told.
    const [other, none] = [await ask(endpoint, 'alice', bob), await ask(endpoint, 'nosuch', bob)];
    assert.deepEqual([other.status, none.status], [403, 403], told);
    assert.equal(other.text.replaceAll('alice', '?'), none.text.replaceAll('nosuch', '?'), told);
  }

  // Another's machine is as one that there never was, in every place that takes one.
  for (const endpoint of routes.filter(({ path }) => path.includes(':machine'))) {
    const told = `${endpoint.name} ${endpoint.method} ${endpoint.path}`;
    const strange = '00000000-0000-4000-8000-000000000000';
    for (const id of [machine, gone]) {
      const path = (which: string) => pathTo(endpoint, 'my', { ...names, machine: which });
      const json = endpoint.method === 'POST' || endpoint.method === 'PUT' ? { json: { action: endpoint.action, name: 'x', package: 'tiny' } } : {};
      const [theirs, nobodys] = [await bob.send(endpoint.method, path(id), json), await bob.send(endpoint.method, path(strange), json)];
      assert.deepEqual([theirs.status, theirs.text], [nobodys.status, nobodys.text], told);
      assert.ok(theirs.status >= 400 && theirs.status !== 410, `${told}: ${theirs.status}`);
    }
  }
  assert.deepEqual((await bob.send('GET', '/my/machines?tombstone=true')).body, []);
  const still = (await alice.send('GET', `/my/machines/${machine}`)).body as { state: string; tags: unknown };
  assert.deepEqual([still.state, still.tags], ['running', { role: 'web' }]);

  for (const endpoint of routes.filter(({ method }) => method === 'GET')) {
    const own = await ask(endpoint, 'my', alice);
    assert.ok(own.status < 500 || own.status === 501, `${endpoint.name}: ${own.text}`);
    assert.ok(![401, 403].includes(own.status), `${endpoint.name}: ${own.text}`);
  }
});
