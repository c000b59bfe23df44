/** Networks of IPv6 through the control plane's API, on the command line and with `triton`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import type { CreateNetwork } from '../../src/model/network-api.ts';
import { macOf } from '../../src/model/mac.ts';
import { externalNetwork, nicsOf } from '../../src/model/nics.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import { controlFixture } from '../support/control-fixture.ts';
import { tritonWorld } from '../support/triton-world.ts';

const wait = { wait: 10 } as const;

test('addresses are given in turn, by number, and as they are written once and for all', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const six = await client.networkCreate({ name: 'six', subnet: 'FD00:0010:0::/64', resolvers: ['2001:DB8::53', '192.0.2.53'] });
  assert.deepEqual(
    [six.subnet, six.gateway, six.rangeFirst, six.rangeLast, six.resolvers, six.mtu],
    ['fd00:10::/64', 'fd00:10::1', 'fd00:10::2', 'fd00:10::1f:ffff:ffff:fffe', ['2001:db8::53', '192.0.2.53'], 1450],
  );
  const { machine: web } = await client.machineCreate({ name: 'web', networks: [{ network: 'default' }, { network: 'six' }] }, wait);
  assert.deepEqual(
    nicsOf(web!).map(({ network, address, primary }) => [network, address, primary]),
    [
      [externalNetwork, web!.address, true],
      [six.id, 'fd00:10::2', false],
    ],
  );
  const { machine: db } = await client.machineCreate({ name: 'db', networks: [{ network: 'six', address: 'FD00:10:0:0:0:dead:BEEF:5' }] }, wait);
  assert.equal(db!.address, 'fd00:10::dead:beef:5');
  await client.machineCreate({ name: 'next', networks: [{ network: 'six' }] }, wait);
  assert.equal((await client.machineGet('next')).address, 'fd00:10::3');
  assert.equal((await client.networkReserve('six', 'fd00:10::0:4', true)).address, 'fd00:10::4');
  assert.equal((await client.networkAddressList('six')).find(({ address }) => address === 'fd00:10::4')!.reserved, true);
  await client.machineCreate({ name: 'over', networks: [{ network: 'six' }] }, wait);
  assert.equal((await client.machineGet('over')).address, 'fd00:10::5', 'what is reserved is passed over');
  assert.deepEqual(
    (await client.networkAddressList('six')).map(({ address }) => address),
    ['fd00:10::2', 'fd00:10::3', 'fd00:10::4', 'fd00:10::5', 'fd00:10::dead:beef:5'],
  );
  const [, nic] = await client.machineNicList('web');
  assert.deepEqual([nic!.mac, nic!.gateway, nic!.netmask], [macOf('fd00:10::2'), 'fd00:10::1', 'ffff:ffff:ffff:ffff::']);
  await client.machineAddressAdd('web', nic!.mac, { address: 'FD00:10::99' }, wait);
  assert.deepEqual((await client.machineNicList('web'))[1]!.more, ['fd00:10::99']);
  await client.machineAddressRemove('web', nic!.mac, 'fd00:10:0::99', wait);
  assert.equal((await client.machineNicList('web'))[1]!.more, undefined);
  await client.machineNicRemove('web', nic!.mac, wait);
  assert.equal((await client.machineNicList('web')).length, 1);
  assert.deepEqual((await client.networkUpdate('six', { rangeLast: 'FD00:10::FF', routes: { 'FD00:99:0::/64': 'FD00:10::3' } })).routes, {
    'fd00:99::/64': 'fd00:10::3',
  });
});

test('what becomes of packets of IPv6 is told by the network that both are on, else by the way out of that family', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  for (const [name, subnet] of [
    ['six', 'fd00:10::/64'],
    ['other', 'fd00:20::/64'],
  ] as const)
    await client.networkCreate({ name, subnet });
  const make = async (name: string, networks: string[]): Promise<Machine> =>
    (await client.machineCreate({ name, networks: networks.map((network) => ({ network })), tags: { role: name }, firewallEnabled: true }, wait)).machine!;
  await make('both', ['default', 'six']);
  const peer = await make('peer', ['six']);
  await make('far', ['other']);
  await make('four', ['default']);
  const tcp = { protocol: 'tcp', port: 80 } as const;
  const ping = { protocol: 'icmp6', type: 128, code: 0 } as const;
  const told = async (...asked: Parameters<typeof client.firewallTest>) => {
    const { allowed, judgements } = await client.firewallTest(...asked);
    return [allowed, ...judgements.map(({ direction, machine, action }) => `${direction} ${machine.name} ${action}`)];
  };
  assert.deepEqual(await told('both', 'peer', tcp), [false, 'out both allow', 'in peer block']);
  await client.firewallRuleCreate({ rule: 'FROM tag role = both TO tag role = peer ALLOW tcp PORT 80', enabled: true });
  await client.firewallRuleCreate({ rule: 'FROM any TO tag role = peer ALLOW icmp6 TYPE 128', enabled: true });
  for (const to of ['peer', 'FD00:10::0:3']) assert.deepEqual(await told('both', to, tcp), [true, 'out both allow', 'in peer allow'], to);
  assert.equal(peer.address, 'fd00:10::3');
  assert.deepEqual(await told('both', 'peer', ping), [true, 'out both allow', 'in peer allow']);

  // Of another network its machines are as what stands for it on the host, which no tag is.
  assert.deepEqual(await told('far', 'peer', tcp), [false, 'out far allow', 'in peer block']);
  assert.deepEqual(await told('far', 'peer', ping), [true, 'out far allow', 'in peer allow']);
  // Its primary is of IPv4, and its way to IPv6 another.
  assert.deepEqual(await told('both', 'far', tcp), [false, 'out both allow', 'in far block']);
  await client.firewallRuleCreate({ rule: 'FROM tag role = both TO subnet 2001:db8::/32 BLOCK tcp PORT 80', enabled: true });
  assert.deepEqual(await told('both', '2001:db8::1', tcp), [false, 'out both block']);
  assert.deepEqual(await told('both', '192.0.2.1', tcp), [true, 'out both allow']);
  assert.deepEqual(await told('2001:db8::1', 'peer', ping), [true, 'in peer allow']);

  for (const [from, to, service, message] of [
    ['four', 'peer', tcp, /there is no way from four to peer by IPv4 or IPv6/],
    ['four', '2001:db8::1', tcp, /no way from four to 2001:db8::1 by IPv4 or IPv6/],
    ['both', 'peer', { ...ping, protocol: 'icmp' }, /no way from both to peer by IPv4, which icmp is of/],
    ['both', 'four', ping, /no way from both to four by IPv6, which icmp6 is of/],
  ] as const)
    await assert.rejects(client.firewallTest(from, to, service), { code: 'invalid_argument', message });
});

test('what cannot be is refused with the numbers', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await client.networkCreate({ name: 'six', subnet: 'fd00:10::/64' });
  const subnet = 'fd00:20::/64';
  const refused: [Omit<CreateNetwork, 'name'>, RegExp][] = [
    [{ subnet: 'fd00:10::/48' }, /fd00:10::\/48 overlaps fd00:10::\/64, which is network "six"/],
    [{ subnet: '2001:db8::/64' }, /is not within fc00::\/7/],
    [{ subnet: 'fd00:20::/24' }, /has a prefix of 24; it must be 32 to 125|does not begin/],
    [{ subnet: 'fd00:20::/126' }, /has a prefix of 126; it must be 32 to 125/],
    [{ subnet: 'fd00:20::1/64' }, /does not begin at the start of a \/64; fd00:20::\/64 does/],
    [{ subnet: 'fd63:656e:6f74:7::/64' }, /overlaps fd63:656e:6f74::\/48, which Cenote itself uses/],
    [{ subnet: '::ffff:10.0.0.0/112' }, /is not a subnet such as/],
    [{ subnet, gateway: '10.0.0.1' }, /10\.0\.0\.1 is not between fd00:20::1 and fd00:20::1f:ffff:ffff:fffe/],
    [{ subnet, rangeFirst: 'fd00:21::5' }, /fd00:21::5 is not between/],
    [{ subnet, rangeFirst: 'fd00:20::9', rangeLast: 'fd00:20::2' }, /fd00:20::2 is before fd00:20::9/],
    [{ subnet, mtu: 1200 }, /1200 is too little for IPv6, which needs 1280/],
    [{ subnet, routes: { '10.0.0.0/8': 'fd00:20::5' } }, /10\.0\.0\.0\/8 is not of IPv6, as fd00:20::\/64 is/],
    [{ subnet, routes: { 'fe80::/64': 'fd00:20::5' } }, /overlaps fe80::\/9, which no machine carries/],
    [{ subnet, routes: { '2001:db8::/32': '10.0.0.5' } }, /10\.0\.0\.5 is not between/],
    [{ subnet, resolvers: ['x'] }, /resolvers\.0: must match format "ipv4" or "ipv6"/],
    [{ subnet, gateway: 'x' }, /gateway: must match format "ipv4" or "ipv6"/],
  ];
  for (const [body, expected] of refused) await assert.rejects(client.networkCreate({ name: 'x', ...body }), expected, JSON.stringify(body));
  for (const address of ['fd00:10::', 'fd00:10::1', 'fd00:10::211:22ff:fe33:4455', '10.0.0.5', 'fd00:11::5'])
    await assert.rejects(
      client.machineCreate({ networks: [{ network: 'six', address }] }),
      /is not an address for machines in fd00:10::\/64|is the gateway/,
      address,
    );
  const publish = [{ protocol: 'tcp' as const, hostPort: 8080, machinePort: 80 }];
  await client.machineCreate({ name: 'web', networks: [{ network: 'six' }], publish }, wait);
  await assert.rejects(client.machineCreate({ publish }), { code: 'in_use', message: /8080/ }, 'of whichever family');
  await client.machineNicAdd('web', { network: 'default', primary: true }, wait);
});

test('shared and public ones are the operator’s; their addresses do not float', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  for (const [subnet, expected] of [
    ['fe80::/64', /overlaps fe80::\/9, which machines have no addresses of/],
    ['ff05::/64', /overlaps ff00::\/8/],
    ['0:0:5::/64', /overlaps ::\/8/],
    ['fd63:656e:6f74::/64', /Cenote itself uses/],
  ] as const)
    await assert.rejects(client.networkCreate({ name: 'x', subnet, global: true }), expected, subnet);
  const front = await client.networkCreate({ name: 'front', subnet: '2001:db8:5::/64', global: true, public: true });
  assert.deepEqual([front.public, front.mtu, front.rangeFirst], [true, 1500, '2001:db8:5::2']);
  await assert.rejects(client.networkCreate({ name: 'x', subnet: '2001:db8:5::/64', global: true }), /overlaps 2001:db8:5::\/64, which is network "front"/);
  await assert.rejects(client.floatingCreate({ network: 'front' }), /network "front" is of IPv6, whose addresses do not float/);
  await client.networkCreate({ name: 'four', subnet: '203.0.113.0/24', global: true, public: true });
  const { address } = await client.floatingCreate({ network: 'four' });
  const { machine: six } = await client.machineCreate({ name: 'six', networks: [{ network: 'front' }] }, wait);
  assert.equal(six!.address, '2001:db8:5::2');
  await assert.rejects(client.floatingAttach(address, 'six'), /the primary address of machine "six", 2001:db8:5::2, is of IPv6/);
  await client.machineCreate({ name: 'web' }, wait);
  await client.floatingAttach(address, 'web');
  await assert.rejects(
    client.machineNicAdd('web', { network: 'front', primary: true }),
    /"web" has the floating address 203\.0\.113\.2, and its primary network would be of IPv6/,
  );
  await client.machineNicAdd('web', { network: 'front' }, wait);
});

test('on the command line', async () => {
  await using cli = await cliFixture();
  const says = async (expected: RegExp, ...words: string[]) => assert.match(succeeded(await cli.cenote(...words)).stdout, expected, words.join(' '));
  await says(
    /^created network six, fd00:10::\/64: machines have fd00:10::10 to fd00:10::ff\n$/,
    'network',
    'create',
    'six',
    '--subnet',
    'fd00:10::/64',
    '--range',
    'fd00:10::10-fd00:10::ff',
    '--gateway',
    'fd00:10::fe',
  );
  await says(/fd00:10::5/, 'ip', 'reserve', 'six', 'fd00:10::5');
  await says(/web/, 'create', 'web', '--network', 'default', '--network', 'six=fd00:10::5');
  await says(/eth1 +six +fd00:10::5 +fd00:10::fe +06(:..){5} +running/, 'nic', 'ls', 'web');
  await says(/app/, 'create', 'app');
  await says(/fd00:10::10/, 'nic', 'add', 'app', 'six');
  assert.equal(nicsOf(succeeded(await cli.cenote('get', 'app', '--json')).json<Machine>())[1]!.address, 'fd00:10::10');
  failed(await cli.cenote('nic', 'add', 'app', 'six', '--address', 'fd00:10:zz'), 2, /"fd00:10:zz" is not an address such as/);
});

test('with triton', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  await alice.must('vlan', 'create', '-n', 'shop', '100');
  await alice.must(
    'network',
    'create',
    '-n',
    'six',
    '-s',
    'fd00:10::/64',
    '-S',
    'fd00:10::2',
    '-E',
    'fd00:10::ff',
    '-g',
    'fd00:10::1',
    '-r',
    '2001:db8::53',
    '100',
  );
  const network = await alice.json<Record<string, unknown>>('network', 'get', 'six');
  assert.deepEqual(
    [network['subnet'], network['gateway'], network['provision_start_ip'], network['provision_end_ip'], network['resolvers']],
    ['fd00:10::/64', 'fd00:10::1', 'fd00:10::2', 'fd00:10::ff', ['2001:db8::53']],
  );
  await alice.must('instance', 'create', '-w', '-n', 'web', '--network', 'six', 'base', 'tiny');
  const web = await alice.json<{ ips: string[]; primaryIp: string; nics: { ip: string; gateway: string; netmask: string }[] }>('instance', 'get', 'web');
  assert.deepEqual([web.primaryIp, web.ips], ['fd00:10::2', ['fd00:10::2']]);
  const [{ ip, gateway, netmask }] = web.nics as [(typeof web.nics)[0]];
  assert.deepEqual([ip, gateway, netmask], ['fd00:10::2', 'fd00:10::1', 'ffff:ffff:ffff:ffff::']);
  await alice.must('instance', 'create', '-w', '-n', 'app', 'base', 'tiny');
  await alice.must('instance', 'nic', 'create', '-w', 'app', 'six');
  const nics = await alice.lines<{ ip: string; mac: string; primary: boolean }>('instance', 'nic', 'ls', '-j', 'app');
  assert.deepEqual(nics.map((nic) => [nic.ip, nic.primary])[1], ['fd00:10::3', false]);
  await alice.must('network', 'ip', 'update', 'six', 'fd00:10::9', 'reserved=true');
  assert.equal((await alice.json<{ reserved: boolean }>('network', 'ip', 'get', 'six', 'fd00:10::9')).reserved, true);
  await alice.must('instance', 'nic', 'delete', '-f', 'app', nics[1]!.mac);
  await alice.must('instance', 'create', '-w', '-n', 'asked', '--nic', `ipv4_uuid=${String(network['id'])},ipv4_ips=fd00:10::99`, 'base', 'tiny');
  assert.equal((await alice.json<{ primaryIp: string }>('instance', 'get', 'asked')).primaryIp, 'fd00:10::99');
});
