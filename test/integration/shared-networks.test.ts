/** Networks that the operator makes for several accounts, and pools of them: who may use which, and what of them is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Network, NetworkPool } from '../../src/model/network-api.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { becomes, cloudApiFixture } from '../support/cloudapi-fixture.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import type { SignedClient } from '../support/signed-client.ts';

const front = { name: 'front', global: true, public: true, subnet: '203.0.113.0/29' } as const;
const wait = { wait: 10 } as const;

const make = async (who: SignedClient, name: string, network: string): Promise<{ status: number; text: string; ips: string[]; id: string }> => {
  const json = { name, image: '11111111-1111-4111-8111-111111111111', package: 'tiny', networks: [network] };
  const { status, text, body } = await who.send('POST', '/my/machines', { json });
  if (status !== 201) return { status, text, ips: [], id: '' };
  const { id } = body as { id: string };
  return { status, text, id, ips: ((await becomes(who, id, 'running')).body as { ips: string[] }).ips };
};
const names = async (who: SignedClient): Promise<string[]> => ((await who.send('GET', '/my/networks')).body as { name: string }[]).map(({ name }) => name);

test('whoever may use one sees it, and their machines are on it beside those of others', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  const { client, agent } = fixture;
  const made = await client.networkCreate({ ...front, owners: ['alice'] });
  assert.deepEqual([made.fabric, made.public, made.owners, made.vlan, made.mtu], [false, true, ['alice'], null, 1500]);
  assert.deepEqual(await names(alice), ['default', 'front']);
  assert.deepEqual(await names(bob), ['default']);
  const told = (await alice.send('GET', `/my/networks/${made.id}`)).body as Record<string, unknown>;
  assert.deepEqual(told, { id: made.id, name: 'front', public: true, description: '' });
  assert.equal(((await alice.send('GET', `/v1/networks/front`)).body as Network).owners, undefined, 'whose else it is, nobody is told');
  for (const [path, status] of [
    [`/my/networks/${made.id}`, 404],
    [`/my/networks/${made.id}/ips`, 404],
    ['/v1/networks/front', 404],
    ['/v1/networks/front/addresses', 404],
  ] as const)
    assert.equal((await bob.send('GET', path)).status, status, path);
  assert.match((await make(bob, 'no', made.id)).text, /there is no network/);

  assert.deepEqual((await make(alice, 'web', made.id)).ips, ['203.0.113.2']);
  assert.deepEqual(
    { ...agent.networks.get(made.id), uplink: '' },
    {
      id: made.id,
      account: null,
      version: 1,
      subnet: '203.0.113.0/29',
      gateway: '203.0.113.1',
      resolvers: [],
      internetNat: true,
      isPublic: true,
      mtu: 1500,
      uplink: '',
    },
  );
  await client.networkUpdate('front', { owners: [] });
  const bobs = await make(bob, 'web', 'front');
  assert.deepEqual(bobs.ips, ['203.0.113.3']);
  assert.deepEqual(
    ((await bob.send('GET', `/my/networks/${made.id}/ips`)).body as { ip: string }[]).map(({ ip }) => ip),
    ['203.0.113.3'],
    'each sees who they are, not who others are',
  );
  assert.equal(((await bob.send('GET', `/my/networks/${made.id}/ips/203.0.113.2`)).body as { belongs_to_uuid?: string }).belongs_to_uuid, undefined);
  assert.deepEqual(
    (await client.networkAddressList('front')).map(({ address }) => address),
    ['203.0.113.2', '203.0.113.3'],
    'the operator sees all',
  );
  // An account's default network, and what it may not do with one that is not its own.
  assert.equal((await bob.send('PUT', '/my/config', { json: { default_network: made.id } })).status, 200);
  assert.deepEqual((await bob.send('GET', '/my/config')).body, { default_network: made.id });
  for (const [method, path, json] of [
    ['POST', '/v1/networks', { ...front, name: 'mine' }],
    ['POST', '/v1/networks/front/update', { name: 'mine' }],
    ['DELETE', '/v1/networks/front', undefined],
    ['POST', '/v1/networks/front/addresses/203.0.113.5', { reserved: true }],
    ['PUT', `/my/networks/${made.id}/ips/203.0.113.5`, { reserved: true }],
  ] as const)
    assert.equal((await bob.send(method, path, json === undefined ? {} : { json })).status, 403, path);
  await client.networkReserve('front', '203.0.113.5', true);
  assert.match(
    (await bob.send('POST', '/v1/machines', { json: { networks: [{ network: 'front', address: '203.0.113.5' }] } })).text,
    /reserved by the operator/,
  );
  // Who may not use it any more keeps the machines that are on it.
  await client.networkUpdate('front', { owners: ['alice'] });
  assert.match((await make(bob, 'again', made.id)).text, /there is no network/);
  assert.equal(((await bob.send('GET', `/my/machines/${bobs.id}`)).body as { state: string }).state, 'running');
  await assert.rejects(client.networkDelete('front'), /has machines on it/);
});

test('the host is told of the wire that one is on, also of a floating address alone; accounts are not', async () => {
  await using here = await cloudApiFixture();
  const { alice, fixture } = here;
  const { client, agent } = fixture;
  const wire = { device: 'eth1', tag: 42 };
  const made = await client.networkCreate({ ...front, ...wire });
  assert.deepEqual([made.device, made.tag], ['eth1', 42]);
  const told = (await alice.send('GET', '/v1/networks/front')).body as Network;
  assert.deepEqual([told.name, told.device, told.tag], ['front', undefined, undefined]);
  await client.machineCreate({ name: 'plain' }, wait);
  const { address } = await client.floatingCreate({ network: 'front' });
  await client.floatingAttach(address, 'plain');
  assert.equal(agent.networks.size, 0);
  assert.deepEqual(agent.floating.get(address)?.wired, { subnet: front.subnet, gateway: '203.0.113.1', ...wire });
  await client.machineCreate({ name: 'web', networks: [{ network: 'front' }] }, wait);
  const { device, tag } = agent.networks.get(made.id)!;
  assert.deepEqual({ device, tag }, wire);
  await client.networkUpdate('front', { description: 'by a wire' });
  assert.equal(agent.networks.get(made.id)!.device, 'eth1');
});

test('names are those of everybody’s networks', async () => {
  await using here = await cloudApiFixture();
  const { alice, fixture } = here;
  await fixture.client.networkCreate(front);
  const { id } = await make(alice, 'web', 'front');
  const seen = await eventually(
    async () => ((await alice.send('GET', `/my/machines/${id}`)).body as { dns_names: string[] }).dns_names,
    (list) => list.length === 4,
  );
  assert.ok(
    seen.every((name) => /^(web|[0-9a-f-]{36})\.inst\./.test(name)),
    seen.join(' '),
  );
});

test('what cannot be is refused with the numbers', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await client.networkCreate(front);
  await client.networkCreate({ name: 'own', subnet: '192.168.10.0/24' });
  for (const [change, expected] of [
    [{ subnet: '203.0.113.0/24' }, /203\.0\.113\.0\/24 overlaps 203\.0\.113\.0\/29, which is network "front"/],
    [{ subnet: '10.77.1.0/24' }, /overlaps 10\.77\.0\.0\/16, which is network "default"/],
    [{ subnet: '127.0.0.0/8' }, /overlaps 127\.0\.0\.0\/8, which machines have no addresses of/],
    [{ subnet: '169.254.9.0/24' }, /overlaps 169\.254\.0\.0\/16/],
    [{ subnet: '224.0.0.0/24' }, /overlaps 224\.0\.0\.0\/3/],
    [{ subnet: '10.98.0.0/24', gateway: null }, /gateway: a public network leads outside/],
    [{ subnet: '10.98.0.0/24', gateway: '10.97.0.1' }, /is not between/],
    [{ subnet: '10.98.0.0/24', vlan: 2 }, /vlan: a shared network is of no VLAN/],
    [{ subnet: '10.98.0.0/24', public: false, device: 'eth1' }, /device: is where the addresses of a public network are outside/],
    [{ subnet: '10.98.0.0/24', tag: 42 }, /tag: is of a wire, and there is none without a device/],
    [{ subnet: '2001:db8::/64', device: 'eth1' }, /device: 2001:db8::\/64 is of IPv6/],
    [{ subnet: '10.98.0.0/24', global: false, public: undefined, device: 'eth1' }, /device: is said of shared networks only/],
    [{ subnet: '10.98.0.0/24', device: 'cn4v17' }, /device: nobody outside is at cn4v17/],
    [{ subnet: '10.98.0.0/24', device: 'lo' }, /device: nobody outside is at lo/],
    [{ subnet: '10.98.0.0/24', device: 'eth1', tag: 4095 }, /tag/],
    [{ subnet: '10.98.0.0/24', owners: ['nobody'] }, /owners: there is no account "nobody"/],
    [{ subnet: '10.98.0.0/24', name: 'own' }, /already a network named "own"/],
    [{ subnet: '10.98.0.0/24', name: 'default' }, /already a network named "default"/],
  ] as const)
    await assert.rejects(client.networkCreate({ ...front, name: 'x', ...change } as never), expected, JSON.stringify(change));
  await assert.rejects(client.networkUpdate('own', { owners: [] }), /owners: is said of shared networks only/);
  await assert.rejects(client.networkCreate({ name: 'front', subnet: '192.168.20.0/24' }), /already a network named "front"/);
  // An account's own may have the addresses of a shared one that it may not use; a machine is not on two that overlap.
  await client.accountCreate({ name: 'alice' });
  await client.networkCreate({ name: 'alike', global: true, subnet: '192.168.10.0/25' });
  await assert.rejects(client.machineCreate({ networks: [{ network: 'own' }, { network: 'alike' }] }), {
    message: /networks "own", 192\.168\.10\.0\/24, and "alike", 192\.168\.10\.0\/25, overlap/,
  });
  await client.machineCreate({ name: 'web', networks: [{ network: 'own' }] }, wait);
  await assert.rejects(client.machineNicAdd('web', { network: 'alike' }), /overlap/);
});

test('a pool gives an address of the first of its networks that has one', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, fixture } = here;
  const { client } = fixture;
  await client.networkCreate({ ...front, name: 'first', rangeLast: '203.0.113.2', owners: ['alice'] });
  await client.networkCreate({ ...front, name: 'second', subnet: '203.0.113.8/29', rangeLast: '203.0.113.10' });
  await client.networkCreate({ name: 'own', subnet: '192.168.10.0/24' });
  for (const [body, expected] of [
    [{ name: 'p', networks: ['nosuch'] }, /networks: there is no network "nosuch"/],
    [{ name: 'p', networks: ['own'] }, /"own" is an account's own/],
    [{ name: 'p', networks: ['default'] }, /"default" is the host's own/],
    [{ name: 'p', networks: ['first', 'first'] }, /"first" is named twice/],
    [{ name: 'first', networks: ['first'] }, /already a network named "first"/],
    [{ name: 'p', networks: [] }, /networks/],
  ] as const)
    await assert.rejects(client.networkPoolCreate(body as never), expected, JSON.stringify(body));
  const pool = await client.networkPoolCreate({ name: 'front', networks: ['first', 'second'] });
  await assert.rejects(client.networkPoolCreate({ name: 'front', networks: ['first'] }), /already a network pool named "front"/);
  await assert.rejects(client.networkCreate({ ...front, subnet: '10.98.0.0/24' }), /already a network pool named "front"/);
  assert.deepEqual(await names(alice), ['default', 'first', 'second', 'front']);
  assert.deepEqual(((await bob.send('GET', '/v1/network-pools/front')).body as NetworkPool).networks, ['second']);
  assert.deepEqual((await alice.send('GET', `/my/networks/${pool.id}`)).body, { id: pool.id, name: 'front', public: true, description: '' });

  assert.deepEqual((await make(alice, 'one', pool.id)).ips, ['203.0.113.2']);
  const second = await make(alice, 'two', 'front');
  assert.deepEqual(second.ips, ['203.0.113.10']);
  const out = await bob.send('POST', '/v1/machines', { json: { networks: [{ network: 'front' }] } });
  assert.match(out.text, /out of addresses: all of the pool \\"front\\", 203\.0\.113\.8\/29, are in use/);
  const wrong = await bob.send('POST', '/v1/machines', { json: { networks: [{ network: 'front', address: '203.0.113.2' }] } });
  assert.match(wrong.text, /203\.0\.113\.2 is of no network of the pool/);
  const plain = await make(alice, 'plain', externalNetwork);
  await alice.send('DELETE', `/my/machines/${second.id}`);
  const added = await eventually(
    () => alice.send('POST', `/my/machines/${plain.id}/nics`, { json: { network: pool.id } }),
    ({ status }) => status === 201,
  );
  assert.equal((added.body as { ip: string }).ip, '203.0.113.10');

  assert.equal((await alice.send('POST', '/v1/network-pools', { json: { name: 'mine', networks: ['first'] } })).status, 403);
  assert.equal((await alice.send('DELETE', '/v1/network-pools/front')).status, 403);
  await client.networkPoolUpdate('front', { networks: ['second'], description: 'what is seen' });
  assert.deepEqual(
    (await client.networkPoolList()).map(({ networks, description }) => [networks, description]),
    [[['second'], 'what is seen']],
  );
  await client.networkPoolDelete('front');
  assert.equal((await bob.send('GET', '/v1/network-pools/front')).status, 404);
});

test('one that only the host knows is the operator’s until it is said whose', async () => {
  await using here = await cloudApiFixture();
  const { bob, fixture } = here;
  const { client, agent } = fixture;
  await client.networkCreate(front);
  const made = await make(bob, 'web', 'front');
  assert.equal(made.status, 201);
  const definition = [...agent.networks.values()][0]!;
  const id = '44444444-4444-4444-8444-444444444444';
  await agent.stop();
  agent.networks.set(id, { ...definition, id, subnet: '203.0.113.64/28', gateway: '203.0.113.65', uplink: '10.77.0.99' });
  await agent.start();
  const found = await eventually(
    () => client.networkList(),
    (list) => list.length === 3,
  );
  assert.deepEqual(found.find((network) => network.id === id)?.owners, ['default']);
  assert.deepEqual(await names(bob), ['default', 'front']);
});
