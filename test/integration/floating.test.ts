/** Floating addresses: whose they are, where they lead, what is refused of them, and what a host and a store that were apart make of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ControlClient } from '../../src/client/control.ts';
import type { FloatingAddress, NetworkAddress } from '../../src/model/network-api.ts';
import { macOf } from '../../src/model/mac.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';

const front = { name: 'front', global: true, public: true, subnet: '203.0.113.0/29' } as const;
const wait = { wait: 10 } as const;
/** What the machines show, by name. */
const shown = async (client: ControlClient) => Object.fromEntries((await client.machineList()).map(({ name, floating }) => [name, floating]));
const leads = async (client: ControlClient) => (await client.floatingList()).map(({ address, machine }) => [address, machine]);

test('one is taken, leads to one machine after another, and is given back', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate(front);
  const ids: string[] = [];
  for (const name of ['a', 'b']) ids.push((await client.machineCreate({ name }, wait)).machine!.id);
  const made = await client.floatingCreate({ network: 'front' });
  assert.deepEqual([made.address, made.networkName, made.machine], ['203.0.113.2', 'front', null]);
  assert.equal(agent.floating.size, 0, 'the host need not know of one that leads nowhere');
  for (const [name, id] of [
    ['a', ids[0]],
    ['b', ids[1]],
    ['b', ids[1]],
    ['a', ids[0]],
  ] as const) {
    assert.equal((await client.floatingAttach('203.0.113.2', name)).machine, id);
    assert.equal(agent.floating.get('203.0.113.2')?.machine, id);
  }
  assert.deepEqual(await leads(client), [['203.0.113.2', ids[0]]]);
  assert.deepEqual(await shown(client), { a: ['203.0.113.2'], b: undefined });
  // What the host says of a machine leaves it as it is.
  await client.machineStop('a', {}, wait);
  assert.deepEqual((await client.machineGet('a')).floating, ['203.0.113.2']);
  const [listed] = await client.networkAddressList('front');
  assert.deepEqual([listed!.address, listed!.floating, listed!.machine], ['203.0.113.2', true, ids[0]]);
  await assert.rejects(client.floatingDelete('203.0.113.2'), /is attached to machine/);
  await assert.rejects(client.networkDelete('front'), /has floating addresses: 203\.0\.113\.2/);
  const { version } = agent.floating.get('203.0.113.2')!;
  await client.floatingDetach('203.0.113.2');
  assert.deepEqual([agent.floating.get('203.0.113.2')!.machine, agent.floating.get('203.0.113.2')!.version > version], [null, true]);
  assert.deepEqual(await shown(client), { a: undefined, b: undefined });
  await client.floatingDelete('203.0.113.2');
  assert.deepEqual(await leads(client), []);
  assert.deepEqual(await client.networkAddressList('front'), []);
  // Made again: the host remembers the former one, and believes the new.
  await client.floatingCreate({ network: 'front', address: '203.0.113.2' });
  await client.floatingAttach('203.0.113.2', 'b');
  assert.equal(agent.floating.get('203.0.113.2')?.machine, ids[1]);
  // Its machine is deleted: it leads nowhere, and is there.
  await client.machineDelete('b', wait);
  assert.deepEqual(await leads(client), [['203.0.113.2', null]]);
  await client.floatingAttach('203.0.113.2', 'a');
  assert.deepEqual(
    (await Array.fromAsync(client.events()))
      .flat()
      .filter(({ type }) => type.startsWith('floating.'))
      .map(({ type }) => type.slice(9)),
    ['created', 'attached', 'attached', 'attached', 'detached', 'deleted', 'created', 'attached', 'attached'],
  );
});

test('what cannot be is refused, with nothing changed', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate(front);
  await client.networkCreate({ name: 'hidden', global: true, subnet: '10.99.0.0/24' });
  await client.networkCreate({ name: 'own', subnet: '192.168.10.0/24' });
  await client.networkCreate({ name: 'closed', subnet: '192.168.20.0/24', gateway: null });
  await client.machineCreate({ name: 'web', networks: [{ network: 'front' }] }, wait);
  await client.machineCreate({ name: 'inner', networks: [{ network: 'closed' }] }, wait);
  for (const [body, expected] of [
    [{ network: 'nosuch' }, /network: there is no network "nosuch"/],
    [{ network: 'default' }, /"default" is the host's own; floating addresses are of public networks/],
    [{ network: 'hidden' }, /"hidden" is hidden behind the host/],
    [{ network: 'own' }, /"own" is an account's own/],
    [{ network: 'front', address: '203.0.113.2' }, /203\.0\.113\.2 of network "front" is in use/],
    [{ network: 'front', address: '203.0.113.1' }, /is the gateway/],
    [{ network: 'front', address: '203.0.114.1' }, /is not an address for machines/],
  ] as const)
    await assert.rejects(client.floatingCreate(body), expected, JSON.stringify(body));
  const { address } = await client.floatingCreate({ network: 'front' });
  await assert.rejects(client.floatingAttach(address, 'nosuch'), /machine: there is no machine "nosuch"/);
  await assert.rejects(client.floatingAttach(address, 'inner'), /"closed", has no gateway: it does not lead outside/);
  await assert.rejects(client.floatingAttach('203.0.113.6', 'web'), { code: 'not_found' });
  await assert.rejects(client.machineCreate({ networks: [{ network: 'front', address }] }), /is in use/);
  await assert.rejects(client.machineAddressAdd('web', macOf('203.0.113.2'), { address }), /is in use/);
  await client.networkUpdate('front', { rangeLast: address });
  await assert.rejects(client.floatingCreate({ network: 'front' }), /out of addresses: all 2 of network "front"/);
  await agent.stop();
  const refusal = (asked: Promise<unknown>) =>
    asked.then(
      () => '',
      (error: Error) => error.message,
    );
  await eventually(
    () => refusal(client.floatingDetach(address)),
    (message) => /nothing was changed/.test(message),
  );
  assert.match(await refusal(client.floatingAttach(address, 'web')), /nothing was changed/);
  assert.deepEqual(await leads(client), [[address, null]]);
});

test('another account’s is as none', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  await fixture.client.networkCreate({ ...front, owners: ['alice'] });
  const [web, bobs] = [await makeMachine(alice, 'web'), await makeMachine(bob, 'web')];
  const made = (await alice.send('POST', '/v1/floating-addresses', { json: { network: 'front' } })).body as FloatingAddress;
  assert.equal((await bob.send('POST', '/v1/floating-addresses', { json: { network: 'front' } })).status, 400);
  await fixture.client.networkUpdate('front', { owners: [] });
  const path = `/v1/floating-addresses/${made.address}`;
  for (const [method, more, json] of [
    ['GET', '', undefined],
    ['POST', '/attach', { machine: bobs }],
    ['POST', '/detach', {}],
    ['DELETE', '', undefined],
  ] as const)
    assert.equal((await bob.send(method, `${path}${more}`, json === undefined ? {} : { json })).status, 404, more);
  assert.equal((await alice.send('POST', `${path}/attach`, { json: { machine: bobs } })).status, 400);
  assert.equal((await alice.send('POST', `${path}/attach`, { json: { machine: web } })).status, 200);
  assert.deepEqual((await bob.send('GET', '/v1/networks/front/addresses')).body, []);
  assert.equal(((await bob.send('GET', `/v1/networks/front/addresses/${made.address}`)).body as NetworkAddress).machine, null);
  assert.equal(((await alice.send('GET', '/v1/networks/front/addresses')).body as NetworkAddress[]).length, 1);
  for (let number = 0; number < 4; number++) assert.equal((await bob.send('POST', '/v1/floating-addresses', { json: { network: 'front' } })).status, 201);
  assert.match((await bob.send('POST', '/v1/floating-addresses', { json: { network: 'front' } })).text, /out of addresses/);
});

test('after time apart host and store agree', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate(front);
  const { id } = (await client.machineCreate({ name: 'web' }, wait)).machine!;
  for (const address of ['203.0.113.2', '203.0.113.3', '203.0.113.4']) {
    await client.floatingCreate({ network: 'front', address });
    await client.floatingAttach(address, 'web');
  }
  await agent.stop();
  const state = (address: string) => agent.floating.get(address)!;
  // The host has lost one; has another as it is to be later than the store knows; and knows some of which the store does not.
  agent.floating.delete('203.0.113.2');
  agent.floating.set('203.0.113.3', { ...state('203.0.113.3'), machine: null, version: state('203.0.113.3').version + 5 });
  agent.floating.set('203.0.113.5', { address: '203.0.113.5', machine: id, version: 7 });
  agent.floating.set('203.0.113.6', { address: '203.0.113.6', machine: '55555555-5555-4555-8555-555555555555', version: 7 });
  await agent.start();
  const found = await eventually(
    () => leads(client),
    (list) => list.length === 4,
  );
  assert.deepEqual(found, [
    ['203.0.113.2', id],
    ['203.0.113.3', null],
    ['203.0.113.4', id],
    ['203.0.113.5', id],
  ]);
  assert.deepEqual(await shown(client), { web: ['203.0.113.2', '203.0.113.4', '203.0.113.5'] });
  await eventually(
    async () => agent.floating.get('203.0.113.6')?.machine,
    (machine) => machine === null,
  );
  assert.equal(agent.floating.get('203.0.113.2')?.machine, id);
});
