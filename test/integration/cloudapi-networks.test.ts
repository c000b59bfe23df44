/** Networks, VLANs, addresses and NICs with the `triton` command, and what of them is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { externalNetwork } from '../../src/model/nics.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { tritonWorld } from '../support/triton-world.ts';

interface WireNetwork {
  id: string;
  name: string;
  fabric?: boolean;
  vlan_id?: number;
  subnet?: string;
  gateway?: string;
  provision_start_ip?: string;
  internet_nat?: boolean;
  resolvers?: string[];
}
interface WireNic {
  mac: string;
  ip: string;
  network: string;
  primary: boolean;
  state: string;
  netmask: string;
  gateway?: string;
}
interface WireIp {
  ip: string;
  reserved: boolean;
  managed: boolean;
  belongs_to_uuid?: string;
}

test('a fabric from nothing to NICs on it', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice, fixture } = here;
  const refused = async (expected: RegExp, ...words: string[]) => {
    const { code, stderr, stdout } = await alice.triton(...words);
    assert.notEqual(code, 0, words.join(' '));
    assert.match(`${stderr}${stdout}`, expected, words.join(' '));
  };

  await alice.must('vlan', 'create', '-n', 'shop', '-D', 'all of the shop', '100');
  assert.match(await alice.must('vlan', 'ls'), /100 +shop +all of the shop/);
  assert.match(await alice.must('vlan', 'get', '100'), /"vlan_id": ?100/);
  // The client's own `vlan update` calls a function that it does not have.
  await alice.must('cloudapi', '-X', 'POST', '-d', '{"name":"store"}', '/my/fabrics/default/vlans/100');
  assert.match(await alice.must('vlan', 'get', 'store'), /"name": ?"store"/);
  await refused(/there is VLAN 100 already/, 'vlan', 'create', '-n', 'other', '100');
  const create = (name: string, subnet: string, first: string, last: string, ...more: string[]) =>
    ['network', 'create', '-n', name, '-s', subnet, '-S', first, '-E', last, ...more, '100'] as const;
  await alice.must(...create('back', '192.168.10.0/29', '192.168.10.2', '192.168.10.4', '-g', '192.168.10.1', '-r', '192.0.2.53', '-D', 'behind'));
  await alice.must(...create('island', '10.9.0.0/24', '10.9.0.5', '10.9.0.99', '-x'));
  await refused(/overlaps 192\.168\.10\.0\/29, which is network/, ...create('more', '192.168.0.0/16', '192.168.0.2', '192.168.0.9', '-x'));
  await refused(/is not within 10\.0\.0\.0\/8/, ...create('more', '198.51.100.0/24', '198.51.100.2', '198.51.100.9', '-x'));
  await refused(/does not begin at the start of a \/24/, ...create('more', '10.8.0.1/24', '10.8.0.2', '10.8.0.9', '-x'));
  await refused(/10\.7\.0\.9 is not between 10\.8\.0\.1 and 10\.8\.0\.254/, ...create('more', '10.8.0.0/24', '10.8.0.2', '10.7.0.9', '-x'));
  await refused(/is before/, ...create('more', '10.8.0.0/24', '10.8.0.9', '10.8.0.2', '-x'));
  await refused(/already a network named/, ...create('back', '10.8.0.0/24', '10.8.0.2', '10.8.0.9', '-x'));
  await refused(/10\.1\.0\.3 is not between 10\.8\.0\.1 and/, ...create('more', '10.8.0.0/24', '10.8.0.2', '10.8.0.9', '-x', '-R', '10.1.0.0/16=10.1.0.3'));
  await alice.must(...create('routed', '10.8.0.0/24', '10.8.0.2', '10.8.0.9', '-x', '-R', '10.1.0.0/16=10.8.0.3'));
  assert.match(await alice.must('network', 'get', 'routed'), /"10\.1\.0\.0\/16": ?"10\.8\.0\.3"/);
  await alice.must('network', 'delete', 'routed');

  const networks = await alice.lines<WireNetwork>('network', 'ls', '-j');
  assert.deepEqual(
    networks.map(({ name, fabric }) => [name, fabric ?? false]),
    [
      ['default', false],
      ['back', true],
      ['island', true],
    ],
  );
  assert.deepEqual(Object.keys(networks[0]!).toSorted(), ['description', 'id', 'name', 'public']);
  const [, back, island] = networks as [WireNetwork, WireNetwork, WireNetwork];
  assert.deepEqual(
    [back.subnet, back.gateway, back.internet_nat, back.vlan_id, back.resolvers],
    ['192.168.10.0/29', '192.168.10.1', true, 100, ['192.0.2.53']],
  );
  assert.deepEqual([island.gateway, island.internet_nat], [undefined, false]);
  assert.match(await alice.must('vlan', 'networks', '100'), /back[^]*island/);
  assert.deepEqual(await alice.json<WireNetwork>('network', 'get', 'back'), back);
  await refused(/VLAN 100 has 2 networks, such as \\?"back\\?"/, 'vlan', 'delete', '100');

  // Machines on it, by default or as asked, until the addresses are all taken.
  await alice.must('instance', 'create', '-w', '-n', 'a', '--network', 'back', 'base', 'tiny');
  await alice.must('network', 'set-default', 'back');
  assert.match(await alice.must('network', 'get-default'), /back/);
  await alice.must('instance', 'create', '-w', '-n', 'b', 'base', 'tiny');
  await alice.must(
    'instance',
    'create',
    '-w',
    '-n',
    'c',
    '--nic',
    `ipv4_uuid=${back.id},ipv4_ips=192.168.10.6`,
    '--nic',
    `ipv4_uuid=${island.id}`,
    'base',
    'tiny',
  );
  await refused(
    /192\.168\.10\.6 of network \\?"back\\?" is in use/,
    'instance',
    'create',
    '--nic',
    `ipv4_uuid=${back.id},ipv4_ips=192.168.10.6`,
    'base',
    'tiny',
  );
  await refused(/192\.168\.11\.6 is not an address for machines/, 'instance', 'create', '--nic', `ipv4_uuid=${back.id},ipv4_ips=192.168.11.6`, 'base', 'tiny');
  await refused(/is the gateway/, 'instance', 'create', '--nic', `ipv4_uuid=${back.id},ipv4_ips=192.168.10.1`, 'base', 'tiny');
  const c = await alice.json<{ id: string; ips: string[]; primaryIp: string; networks: string[]; nics: WireNic[] }>('instance', 'get', 'c');
  assert.deepEqual(
    [c.primaryIp, c.networks, c.nics.map(({ netmask }) => netmask)],
    ['192.168.10.6', [back.id, island.id], ['255.255.255.248', '255.255.255.0']],
  );
  await alice.must('network', 'ip', 'update', 'back', '192.168.10.4', 'reserved=true');
  await refused(/out of addresses: all 3 of network \\?"back\\?", 192\.168\.10\.2 to 192\.168\.10\.4, are in use/, 'instance', 'create', 'base', 'tiny');
  const ips = await alice.lines<WireIp>('network', 'ip', 'ls', '-j', 'back');
  assert.deepEqual(
    ips.map(({ ip, reserved, managed }) => [ip, reserved, managed]),
    [
      ['192.168.10.2', false, false],
      ['192.168.10.3', false, false],
      ['192.168.10.4', true, false],
      ['192.168.10.6', false, false],
    ],
  );
  assert.equal(ips[3]!.belongs_to_uuid, c.id);
  assert.equal((await alice.json<WireIp>('network', 'ip', 'get', 'back', '192.168.10.1')).managed, true);
  await alice.must('network', 'ip', 'update', 'back', '192.168.10.4', 'reserved=false');
  await refused(/has machines on it: a, b, c/, 'network', 'delete', 'back');

  // NICs while they run.
  assert.equal((await alice.lines<WireNic>('instance', 'nic', 'ls', '-j', 'a')).length, 1);
  await alice.must('instance', 'nic', 'create', '-w', 'a', 'island');
  const [first, second] = await alice.lines<WireNic>('instance', 'nic', 'ls', '-j', 'a');
  assert.deepEqual([second!.network, second!.state, second!.primary, second!.gateway], [island.id, 'running', false, undefined]);
  assert.match(await alice.must('instance', 'nic', 'get', 'a', second!.mac), /10\.9\.0\./);
  await refused(/already has a NIC on that network/, 'instance', 'nic', 'create', 'a', 'island');
  await refused(/is the primary NIC/, 'instance', 'nic', 'delete', '-f', 'a', first!.mac);
  await alice.must('instance', 'nic', 'create', '-w', '-p', 'a', externalNetwork);
  assert.deepEqual(
    (await alice.lines<WireNic>('instance', 'nic', 'ls', '-j', 'a')).map(({ primary }) => primary),
    [false, false, true],
  );
  await alice.must('instance', 'nic', 'delete', '-f', 'a', first!.mac);
  await alice.must('instance', 'nic', 'create', '-w', 'a', `ipv4_uuid=${back.id}`, 'ipv4_ips=192.168.10.5');
  assert.match(await alice.must('instance', 'ip', 'a'), /^10\.77\./);
  assert.match(await alice.must('instance', 'audit', 'a'), /add_nics[^]*remove_nics|remove_nics[^]*add_nics/);

  // The host was told of each network before its first machine.
  assert.deepEqual([...fixture.agent.networks.keys()].toSorted(), [back.id, island.id].toSorted());
  for (const name of ['a', 'b', 'c']) await alice.must('instance', 'delete', '-w', '-f', name);
  assert.deepEqual(await alice.lines('network', 'ip', 'ls', '-j', 'back'), []);
  await alice.must('network', 'delete', 'back', 'island');
  await alice.must('vlan', 'delete', '100');
  assert.match(await alice.must('network', 'get-default'), /default/);
  assert.deepEqual(fixture.agent.doubled, []);
});

test('another account’s networks are as none that there ever were, and its addresses no matter', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob } = here;
  const asked = { name: 'back', subnet: '192.168.10.0/24', provision_start_ip: '192.168.10.5', provision_end_ip: '192.168.10.9', gateway: '192.168.10.1' };
  const made: string[] = [];
  for (const who of [alice, bob]) {
    assert.equal((await who.send('POST', '/my/fabrics/default/vlans', { json: { vlan_id: 2, name: 'two' } })).status, 201);
    const { status, body } = await who.send('POST', '/my/fabrics/default/vlans/2/networks', { json: asked });
    assert.equal(status, 201);
    made.push((body as WireNetwork).id);
  }
  const [hers, his] = made as [string, string];
  const strange = '00000000-0000-4000-8000-000000000000';
  for (const [method, path, json] of [
    ['GET', '/my/networks/NET', undefined],
    ['GET', '/my/networks/NET/ips', undefined],
    ['GET', '/my/networks/NET/ips/192.168.10.5', undefined],
    ['PUT', '/my/networks/NET/ips/192.168.10.5', { reserved: true }],
    ['GET', '/my/fabrics/default/vlans/2/networks/NET', undefined],
    ['PUT', '/my/fabrics/default/vlans/2/networks/NET', { name: 'mine' }],
    ['DELETE', '/my/fabrics/default/vlans/2/networks/NET', undefined],
    ['PUT', '/my/config', { default_network: 'NET' }],
    ['POST', '/my/machines', { package: 'tiny', image: 'IMAGE', networks: ['NET'] }],
  ] as const) {
    const images = (await alice.send('GET', '/my/images')).body as { id: string }[];
    const send = (network: string) =>
      alice.send(
        method,
        path.replace('NET', network),
        json === undefined ? {} : { json: JSON.parse(JSON.stringify(json).replace('NET', network).replace('IMAGE', images[0]!.id)) as object },
      );
    const [theirs, nobodys] = [await send(his), await send(strange)];
    assert.deepEqual([theirs.status, theirs.text.replaceAll(his, '?')], [nobodys.status, nobodys.text.replaceAll(strange, '?')], `${method} ${path}`);
    assert.ok(theirs.status === 404 || theirs.status === 409, `${method} ${path}: ${theirs.status}`);
  }
  // On the external network one sees what is one's own.
  const theirs = await makeMachine(bob, 'theirs');
  const { ips } = (await bob.send('GET', `/my/machines/${theirs}`)).body as { ips: string[] };
  const listed = (await alice.send('GET', `/my/networks/${externalNetwork}/ips`)).body as WireIp[];
  assert.deepEqual(
    listed.map(({ managed }) => managed),
    [true],
    'her network’s way out',
  );
  assert.equal(((await alice.send('GET', `/my/networks/${externalNetwork}/ips/${ips[0]!}`)).body as WireIp).belongs_to_uuid, undefined);
  assert.equal((await alice.send('PUT', `/my/networks/${externalNetwork}/ips/${ips[0]!}`, { json: { reserved: true } })).status, 403);
  assert.equal((await alice.send('GET', `/my/networks/${hers}`)).status, 200);
  const usage = (network: string) => alice.send('GET', `/v1/networks/${network}/usage`);
  assert.deepEqual((await usage(hers)).body, { machines: 0, dropped: {} });
  assert.deepEqual([(await usage(his)).status, (await usage(strange)).status, (await usage(externalNetwork)).status], [404, 404, 403]);
});

test('who has the most there may be is told that number, not that the datacenter is full', async () => {
  await using here = await cloudApiFixture();
  const { alice } = here;
  assert.equal((await alice.send('POST', '/my/fabrics/default/vlans', { json: { vlan_id: 2, name: 'two' } })).status, 201);
  const machine = await makeMachine(alice, 'web');
  const add = async (number: number) => {
    const json = { name: `n${number}`, subnet: `10.1.${number}.0/29`, provision_start_ip: `10.1.${number}.2`, provision_end_ip: `10.1.${number}.6` };
    const { body } = await alice.send('POST', '/my/fabrics/default/vlans/2/networks', { json: { ...json, internet_nat: false } });
    return alice.send('POST', `/my/machines/${machine}/nics`, { json: { network: (body as WireNetwork).id } });
  };
  for (let number = 1; number < 32; number += 1) assert.equal((await add(number)).status, 201);
  const { status, body } = await add(32);
  assert.equal(status, 403);
  assert.deepEqual(body, { code: 'QuotaExceeded', message: 'QuotaExceeded; machine "web" has 32 NICs, and 32 is the most' });
});
