/** Networks through the control plane's API: kept, told to the host, refused with numbers; and found again after time apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../src/client/control.ts';
import { macOf } from '../../src/model/mac.ts';
import { externalNetwork, nicsOf } from '../../src/model/nics.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';

const back = { name: 'back', subnet: '192.168.10.0/28' } as const;
const wait = { wait: 10 } as const;
const addressesOf = async (client: ControlClient, network: string): Promise<string[]> =>
  (await client.networkAddressList(network)).map(({ address }) => address);

test('what is left out is as usual', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const made = await client.networkCreate(back);
  assert.deepEqual(
    { ...made, id: '', createdAt: '' },
    {
      id: '',
      createdAt: '',
      name: 'back',
      description: '',
      fabric: true,
      public: false,
      vlan: 2,
      subnet: '192.168.10.0/28',
      gateway: '192.168.10.1',
      rangeFirst: '192.168.10.2',
      rangeLast: '192.168.10.14',
      resolvers: [],
      routes: {},
      internetNat: true,
      mtu: 1450,
      uplink: '10.77.0.2',
      isDefault: false,
    },
  );
  assert.deepEqual(await client.vlanList(), [{ id: 2, name: 'default', description: '', networks: 1 }]);
  const last = await client.networkCreate({ name: 'last', subnet: '172.16.0.0/29', gateway: '172.16.0.6' });
  assert.deepEqual([last.rangeFirst, last.rangeLast, last.vlan], ['172.16.0.1', '172.16.0.5', 2]);
  assert.deepEqual(
    (await client.networkList()).map(({ name, isDefault }) => [name, isDefault]),
    [
      ['default', true],
      ['back', false],
      ['last', false],
    ],
  );
  assert.equal((await client.networkMakeDefault('back')).isDefault, true);
  const { machine } = await client.machineCreate({ name: 'web' }, wait);
  assert.deepEqual([machine!.address, machine!.nics], ['192.168.10.2', [{ network: made.id, address: '192.168.10.2', index: 0, primary: true }]]);
  await client.networkMakeDefault('default');
  assert.equal((await client.machineCreate({ name: 'out' }, wait)).machine!.nics, undefined, 'as every machine has been');
});

test('what cannot be is refused with the numbers', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await client.networkCreate(back);
  for (const [body, expected] of [
    [{ name: 'x', subnet: '192.168.10.8/29' }, /192\.168\.10\.8\/29 overlaps 192\.168\.10\.0\/28, which is network "back"/],
    [{ name: 'x', subnet: '192.168.0.0/16' }, /overlaps 192\.168\.10\.0\/28/],
    [{ name: 'x', subnet: '10.0.0.0/8' }, /overlaps 10\.77\.0\.0\/16, which is network "default"/],
    [{ name: 'x', subnet: '8.8.8.0/24' }, /is not within 10\.0\.0\.0\/8, 172\.16\.0\.0\/12 or 192\.168\.0\.0\/16/],
    [{ name: 'x', subnet: '192.168.0.0/15' }, /is not within|does not begin/],
    [{ name: 'x', subnet: '192.168.20.0/30' }, /has a prefix of 30; it must be 8 to 29/],
    [{ name: 'x', subnet: '192.168.20.1/24' }, /does not begin at the start of a \/24; 192\.168\.20\.0\/24 does/],
    [{ name: 'x', subnet: '' }, /is not a subnet such as 10\.80\.0\.0\/16 or fd00:10::\/64/],
    [{ name: 'x', subnet: '192.168.20.0/24', gateway: '192.168.21.1' }, /192\.168\.21\.1 is not between 192\.168\.20\.1 and 192\.168\.20\.254/],
    [{ name: 'x', subnet: '192.168.20.0/24', gateway: '192.168.20.255' }, /is not between/],
    [{ name: 'x', subnet: '192.168.20.0/24', rangeFirst: '192.168.20.9', rangeLast: '192.168.20.2' }, /192\.168\.20\.2 is before 192\.168\.20\.9/],
    [{ name: 'x', subnet: '192.168.20.0/24', vlan: 7 }, /there is no VLAN 7/],
    [{ name: 'x', subnet: '192.168.20.0/24', mtu: 100 }, /mtu/],
    [{ name: 'x', subnet: '192.168.20.0/24', resolvers: ['x'] }, /resolvers/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '10.1.0.0/33': '192.168.20.5' } }, /has a prefix of 33; it must be 1 to 32/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '10.1.0.1/16': '192.168.20.5' } }, /does not begin at the start of a \/16/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '192.168.0.0/16': '192.168.20.5' } }, /overlaps 192\.168\.20\.0\/24, which is the network itself/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '127.0.0.0/9': '192.168.20.5' } }, /overlaps 127\.0\.0\.0\/8, which no machine carries/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '10.1.0.0/16': '192.168.21.5' } }, /192\.168\.21\.5 is not between/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '10.1.0.0/16': '192.168.20.1' } }, /192\.168\.20\.1 is the gateway/],
    [{ name: 'x', subnet: '192.168.20.0/24', routes: { '10.1.0.0/16': 'x' } }, /routes/],
    [{ name: 'back', subnet: '192.168.20.0/24' }, /already a network named "back"/],
    [{ name: 'default', subnet: '192.168.20.0/24' }, /already a network named "default"/],
    [{ name: '../x', subnet: '192.168.20.0/24' }, /name/],
  ] as const)
    await assert.rejects(client.networkCreate(body as never), expected, JSON.stringify(body));
  await assert.rejects(client.vlanCreate({ id: 4096, name: 'x' }), { code: 'invalid_argument' });
  await assert.rejects(client.vlanCreate({ id: 2, name: 'x' }), /there is VLAN 2 already/);
  await assert.rejects(client.vlanDelete(2), /VLAN 2 has 1 network, such as "back"/);
  await assert.rejects(client.networkUpdate('default', { name: 'x' }), { code: 'forbidden' });
  await assert.rejects(client.networkDelete('default'), { code: 'forbidden' });
  await assert.rejects(client.networkReserve('default', '10.77.0.9', true), { code: 'forbidden' });
  await assert.rejects(client.networkReserve('back', '192.168.10.1', true), /is the gateway/);
  await assert.rejects(client.networkReserve('back', '192.168.11.1', true), /is not between/);
  const create = (networks: { network: string; address?: string; primary?: boolean }[]) => client.machineCreate({ networks });
  await assert.rejects(create([{ network: 'nosuch' }]), /there is no network "nosuch"/);
  await assert.rejects(create([{ network: 'back' }, { network: 'back' }]), /"back" is named twice/);
  await assert.rejects(
    create([
      { network: 'back', primary: true },
      { network: 'default', primary: true },
    ]),
    /2 NICs are to be primary/,
  );
  await assert.rejects(create([{ network: 'back', address: '192.168.10.15' }]), /is not an address for machines in 192\.168\.10\.0\/28/);
  await assert.rejects(create([{ network: 'default', address: '10.77.0.2' }]), /10\.77\.0\.2 of network "default" is in use/);
});

test('addresses come round last, are reserved, run out and are given back', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate({ ...back, rangeLast: '192.168.10.4' });
  await client.networkMakeDefault('back');
  const create = async (name: string) => (await client.machineCreate({ name }, wait)).machine!.address;
  assert.equal(await create('a'), '192.168.10.2');
  await client.machineDelete('a', wait);
  assert.equal(await create('b'), '192.168.10.3');
  await client.networkReserve('back', '192.168.10.4', true);
  assert.equal(await create('c'), '192.168.10.2');
  await assert.rejects(create('d'), {
    code: 'in_use',
    message: 'out of addresses: all 3 of network "back", 192.168.10.2 to 192.168.10.4, are in use',
  });
  const asked = await client.machineCreate({ name: 'd', networks: [{ network: 'back', address: '192.168.10.4' }] }, wait);
  assert.equal(asked.machine!.address, '192.168.10.4', 'a reserved one is for who asks for it');
  await client.networkReserve('back', '192.168.10.4', false);
  await client.networkReserve('back', '192.168.10.3', true);
  await client.machineDelete('b', wait);
  assert.deepEqual(
    (await client.networkAddressList('back')).map(({ address, reserved, machine }) => [address, reserved, machine === null]),
    [
      ['192.168.10.2', false, false],
      ['192.168.10.3', true, true],
      ['192.168.10.4', false, false],
    ],
  );
  await client.networkUpdate('back', { routes: { '10.9.0.0/16': '192.168.10.5' } });
  assert.deepEqual([...agent.networks.values()][0]!.routes, { '10.9.0.0/16': '192.168.10.5' });
  await client.networkUpdate('back', { routes: {} });
  const wider = await client.networkUpdate('back', { rangeLast: '192.168.10.9', internetNat: false });
  assert.deepEqual([wider.rangeLast, wider.internetNat], ['192.168.10.9', false]);
  assert.deepEqual([agent.networks.get(wider.id)!.version, agent.networks.get(wider.id)!.internetNat], [4, false], 'the host is told at once');
  assert.equal(agent.networks.get(wider.id)!.routes, undefined);
  assert.equal(await create('e'), '192.168.10.5');
  // One that the host refuses gives everything back when it is deleted.
  agent.fault = ({ method, path }) => (method === 'PUT' && path.includes('/machines/') ? { kind: 'refuse', code: 'failed', message: 'no' } : undefined);
  assert.equal((await client.machineCreate({ name: 'f' }, wait)).job.state, 'failed');
  agent.fault = () => undefined;
  await client.machineDelete('f', wait);
  for (const name of ['c', 'd', 'e']) await client.machineDelete(name, wait);
  assert.deepEqual(await addressesOf(client, 'back'), ['192.168.10.3']);
  await client.networkDelete('back');
  assert.deepEqual(await addressesOf(client, 'default'), []);
  assert.deepEqual(agent.doubled, []);
});

test('NICs are added and removed, and what fails gives its address back', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate(back);
  await client.networkCreate({ name: 'other', subnet: '192.168.20.0/24' });
  await client.machineCreate({ name: 'web' }, wait);
  const shown = async () => (await client.machineNicList('web')).map(({ networkName, index, primary, state }) => [networkName, index, primary, state]);
  assert.deepEqual(await shown(), [['default', 0, true, 'running']]);
  const added = await client.machineNicAdd('web', { network: 'back', address: '192.168.10.9' }, wait);
  assert.deepEqual([added.job.state, added.machine!.address, nicsOf(added.machine!).length], ['succeeded', '10.77.0.4', 2]);
  await assert.rejects(client.machineNicAdd('web', { network: 'back' }), { code: 'already_exists' });
  await assert.rejects(client.machineNicAdd('web', { network: 'nosuch' }), { code: 'invalid_argument' });
  await assert.rejects(client.machineNicRemove('web', macOf('10.77.0.4')), /10\.77\.0\.4 is the primary NIC/);
  await assert.rejects(client.machineNicRemove('web', '02:ce:00:00:00:00'), { code: 'not_found' });

  agent.fault = ({ path }) => (path.endsWith('/update') ? { kind: 'refuse', code: 'failed', message: 'no link' } : undefined);
  const failed = await client.machineNicAdd('web', { network: 'other' }, wait);
  assert.deepEqual([failed.job.state, failed.job.reason], ['failed', 'no link']);
  agent.fault = () => undefined;
  assert.deepEqual(await addressesOf(client, 'other'), []);

  await client.machineNicAdd('web', { network: 'other', primary: true }, wait);
  assert.equal((await client.machineGet('web')).address, '192.168.20.3');
  await client.machineNicRemove('web', macOf('10.77.0.4'), wait);
  assert.deepEqual(await shown(), [
    ['back', 1, false, 'running'],
    ['other', 2, true, 'running'],
  ]);
  assert.ok(!(await addressesOf(client, 'default')).includes('10.77.0.4'));
  await client.machineStop('web', {}, wait);
  await client.machineNicAdd('web', { network: externalNetwork }, wait);
  assert.deepEqual(await shown(), [
    ['back', 1, false, 'stopped'],
    ['other', 2, true, 'stopped'],
    ['default', 0, false, 'stopped'],
  ]);
  assert.deepEqual(agent.doubled, []);
});

test('addresses are added to a NIC and removed, and what fails gives its address back', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate({ ...back, rangeLast: '192.168.10.4' });
  const { machine } = await client.machineCreate({ name: 'web', networks: [{ network: 'back' }] }, wait);
  const mac = macOf('192.168.10.2');
  const added = await client.machineAddressAdd('web', mac, {}, wait);
  assert.deepEqual([added.job.state, added.machine!.address], ['succeeded', '192.168.10.2']);
  await client.machineAddressAdd('web', mac, { address: '192.168.10.9' }, wait);
  const shown = async () => (await client.machineNicList('web')).map((nic) => [nic.address, nic.more]);
  assert.deepEqual(await shown(), [['192.168.10.2', ['192.168.10.3', '192.168.10.9']]]);
  assert.deepEqual(agent.machines.get(machine!.id)!.status.spec.nics![0]!.more, ['192.168.10.3', '192.168.10.9']);
  for (const [address, expected] of [
    ['192.168.10.9', /is in use/],
    ['192.168.10.1', /is the gateway/],
    ['192.168.11.1', /is not an address for machines in/],
  ] as const)
    await assert.rejects(client.machineAddressAdd('web', mac, { address }), expected);
  await assert.rejects(client.machineAddressAdd('web', '02:ce:00:00:00:00', {}), { code: 'not_found' });
  await assert.rejects(client.machineCreate({ networks: [{ network: 'back', address: '192.168.10.3' }] }), /is in use/);
  await assert.rejects(client.machineAddressRemove('web', mac, '192.168.10.2'), { code: 'wrong_state' });
  await assert.rejects(client.machineAddressRemove('web', mac, '192.168.10.4'), { code: 'not_found' });
  agent.fault = ({ path }) => (path.endsWith('/update') ? { kind: 'refuse', code: 'failed', message: 'no' } : undefined);
  assert.equal((await client.machineAddressAdd('web', mac, {}, wait)).job.state, 'failed');
  agent.fault = () => undefined;
  assert.deepEqual(await addressesOf(client, 'back'), ['192.168.10.2', '192.168.10.3', '192.168.10.9']);
  await client.machineAddressAdd('web', mac, {}, wait);
  await assert.rejects(client.machineAddressAdd('web', mac, {}), /out of addresses: all 3/);
  // Another NIC comes and goes; a host that comes back has them all.
  await client.machineNicAdd('web', { network: externalNetwork }, wait);
  await agent.stop();
  await agent.start();
  await client.machineNicRemove('web', macOf((await client.machineNicList('web')).find(({ networkName }) => networkName === 'default')!.address), wait);
  await client.machineAddressRemove('web', mac, '192.168.10.3', wait);
  assert.deepEqual(await shown(), [['192.168.10.2', ['192.168.10.9', '192.168.10.4']]]);
  assert.deepEqual(await addressesOf(client, 'back'), ['192.168.10.2', '192.168.10.4', '192.168.10.9']);
  // All at once, and none undoes another.
  await client.networkUpdate('back', { rangeLast: '192.168.10.14' });
  const many = await Promise.all(Array.from({ length: 9 }, () => client.machineAddressAdd('web', mac, {}, { wait: 30 })));
  assert.ok(many.every(({ job }) => job.state === 'succeeded'));
  assert.equal((await shown())[0]![1]!.length, 11);
  await client.machineDelete('web', wait);
  assert.deepEqual(await addressesOf(client, 'back'), []);
  assert.deepEqual(agent.doubled, []);
});

test('accepted one after another, NICs do not undo each other', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  for (let number = 0; number < 31; number++) await client.networkCreate({ name: `n${number}`, subnet: `172.16.${number}.0/24` });
  await client.networkCreate({ name: 'more', subnet: '172.17.0.0/24' });
  await client.machineCreate({ name: 'web' }, wait);
  agent.fault = ({ path }) => (path.endsWith('/update') ? { kind: 'delay', until: sleep(5) } : undefined);
  const accepted = await Promise.all(Array.from({ length: 31 }, (_, number) => client.machineNicAdd('web', { network: `n${number}` }, { wait: 30 })));
  assert.deepEqual(new Set(accepted.map(({ job }) => job.state)), new Set(['succeeded']));
  const nics = await client.machineNicList('web');
  assert.deepEqual([nics.length, new Set(nics.map(({ index }) => index)).size], [32, 32]);
  await assert.rejects(client.machineNicAdd('web', { network: 'more' }), /has 32 NICs, and 32 is the most/);
});

test('a host that knows more than the store is believed', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const made = await client.networkCreate(back);
  await client.machineCreate({ name: 'web', networks: [{ network: 'back' }] }, wait);
  const definition = agent.networks.get(made.id)!;
  // A network of which the store, an old copy, knows nothing, and a machine on it.
  const id = '33333333-3333-4333-8333-333333333333';
  const network = '44444444-4444-4444-8444-444444444444';
  const { status } = [...agent.machines.values()][0]!;
  await agent.stop();
  agent.networks.set(network, { ...definition, id: network, subnet: '192.168.30.0/24', gateway: '192.168.30.1', uplink: '10.77.0.99' });
  agent.networks.set(made.id, { ...definition, version: 5, internetNat: false });
  agent.machines.set(id, {
    status: {
      ...status,
      id,
      generation: 3,
      spec: { ...status.spec, id, name: 'found', address: '192.168.30.7', nics: [{ network, address: '192.168.30.7', index: 0, primary: true }] },
    },
    snapshots: new Map(),
  });
  await agent.start();
  const [found] = await eventually(
    () => client.machineList({ name: 'found' }),
    (list) => list.length === 1,
  );
  assert.equal(found!.address, '192.168.30.7');
  assert.deepEqual(await addressesOf(client, network), ['192.168.30.7']);
  assert.ok((await addressesOf(client, 'default')).includes('10.77.0.99'));
  assert.equal((await client.networkGet('back')).internetNat, false);
  assert.equal((await client.machineStop('found', {}, wait)).job.state, 'succeeded');
});

test('an agent that has forgotten a network is told again before it is used', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.networkCreate(back);
  await client.machineCreate({ name: 'one', networks: [{ network: 'back' }] }, wait);
  for (let round = 0; round < 5; round++) {
    await agent.stop();
    agent.networks.clear();
    const waiting = client.machineCreate({ name: `two-${round}`, networks: [{ network: 'back' }] }, { wait: 20 });
    await agent.start();
    const { job } = await waiting;
    assert.deepEqual([job.state, job.reason], ['succeeded', null]);
  }
});
