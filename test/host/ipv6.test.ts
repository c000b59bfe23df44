/** Networks of IPv6 with real namespaces and real packets, at the driver. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { addressBytes } from '../../src/model/address.ts';
import { backboneAddress, backboneOf } from '../../src/model/backbone.ts';
import { macBytes } from '../../src/model/mac.ts';
import type { NetworkDefinition } from '../../src/model/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { Relay } from '../../src/resolver/relay.ts';
import { removeNamedNamespace } from '../../src/sys/named-netns.ts';
import { DriverWorld, connection, countersOf, define, driverFiles, logger, on, settleIn, subnet, unreached } from './driver-world.ts';
import type { Settled } from './driver-world.ts';
import { becomeHost, createOutside, icmpFrame6, outsideAddress, udpFrame, udpFrame6, until } from './network-world.ts';
import type { Place } from './network-world.ts';
import { talk } from './talker.ts';

const { instance, resolvConfPath, routers, tidy } = driverFiles('six');
const instanceNumber = 6;
const backbone = backboneOf(instanceNumber);
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber, subnet, logger, resolvConfPath, routerLingerMs: 20 });
const [hostSix, outsideSix] = ['2001:db8::1', '2001:db8::2'];

const six = { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' };
const [blueNet, greenNet, islandNet, plainNet, publicNet] = [
  define(1, 'blue', six),
  define(2, 'green', six),
  define(3, 'blue', { subnet: 'fd00:30::/64', gateway: null }),
  define(4, 'blue'),
  define(5, null, { subnet: '2001:db8:5::/64', gateway: '2001:db8:5::1', isPublic: true, mtu: 1500 }),
] as const;

const listenScript =
  "const u = require('node:dgram').createSocket('udp6'); u.on('message', (m) => console.log(String(m))); u.bind(91, () => console.log('ready'))";
const resolveScript = `const r = new (require('node:dns').Resolver)({ timeout: 700, tries: 1 }); r.setServers([process.argv[1]]); r.resolve6('x.test', (e) => console.log(e.code))`;

const countersIn = (network: NetworkDefinition, ...names: string[]): Promise<number[]> => countersOf({ routers, instance, network: network.id }, ...names);

describe('networks of IPv6', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const place = (name: string): Place => world.place(name);

  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside());
    await run('ip', ['addr', 'add', `${hostSix}/64`, 'dev', 'up0', 'nodad']);
    await outside.run('ip', 'addr', 'add', `${outsideSix}/64`, 'dev', 'eth0', 'nodad');
    // As a bad neighbour would have them, and as the network outside must lead a public one.
    for (const cidr of [six.subnet, backbone.cidr, publicNet.subnet]) await outside.run('ip', 'route', 'add', cidr, 'via', hostSix);
    await outside.serve(90, '::');
    await outside.serve(90);
    await world.open([blueNet, greenNet, islandNet, plainNet, publicNet]);
    await world.settle(connection(1, 'blue-a', [on(blueNet.id, 'fd00:10::5')]));
    await world.settle(connection(2, 'blue-b', [on(blueNet.id, 'fd00:10::6')]));
    await world.settle(connection(3, 'green-a', [on(greenNet.id, 'fd00:10::5')]));
    await world.settle(connection(4, 'green-b', [on(greenNet.id, 'fd00:10::7')]));
    await world.settle(connection(5, 'both', [on(externalNetwork, '10.80.0.5'), on(blueNet.id, 'fd00:10::8', 1, false)]));
    await world.settle(connection(6, 'island-a', [on(islandNet.id, 'fd00:30::5')]));
    await world.settle(connection(7, 'shown', [on(publicNet.id, '2001:db8:5::5')]));
    for (const { place: machine } of world.machines.values()) await machine.serve(90, '::');
  });

  const restart = (): Promise<void> => world.restart([blueNet, greenNet, islandNet, plainNet, publicNet]);

  after(async () => {
    await world.network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    assert.equal(await run('ip', ['-6', 'route', 'show', 'proto', '206']), '');
    assert.doesNotMatch(await run('ip', ['-6', 'addr']), /fd63/);
    assert.doesNotMatch(await run('ip', ['link']), /cn6/);
    assert.deepEqual(existsSync(routers) ? readdirSync(routers) : [], []);
    await world[Symbol.asyncDispose]();
    tidy();
  });

  test('two accounts have the same subnet and the same address, and each reaches its own', async () => {
    assert.equal(await place('blue-b').ask('tcp', 'fd00:10::5', 90), 'fd00:10::6');
    assert.equal(await place('green-b').ask('tcp', 'fd00:10::5', 90), 'fd00:10::7');
    assert.equal(await place('green-b').ask('udp', 'fd00:10::5', 90), 'fd00:10::7');
    assert.equal(await place('both').ask('udp', 'fd00:10::5', 90), 'fd00:10::8');
    assert.match(await place('blue-a').run('ping', '-c1', '-W1', 'fd00:10::6'), /1 received/);
    assert.match(await place('blue-a').run('ping', '-c1', '-W1', 'fd00:10::1'), /1 received/, 'the gateway');
    assert.match(await place('blue-b').ask('tcp', 'fd00:10::7', 90), unreached);
    assert.match(await place('green-b').ask('tcp', 'fd00:10::6', 90), unreached);
  });

  test('what claims to be another, or has something to tell neighbours and routers, is dropped and counted', async () => {
    const listener = place('blue-b').follow(process.execPath, '-e', listenScript);
    await until(() => listener.lines.includes('ready'));
    const frame = (source: string, mac = 'fd00:10::5', destination = 'fd00:10::6') => ({
      sourceMac: macBytes(mac),
      destinationMac: macBytes('fd00:10::1'),
      source: addressBytes(source),
      destination: addressBytes(destination),
    });
    const send = (payload: string, ...about: Parameters<typeof frame>) => place('blue-a').sendFrame(udpFrame6({ ...frame(...about), port: 91, payload }));
    const tell = (type: number, destination: string, isHidden = false) => {
      const body = Buffer.concat([Buffer.alloc(4), addressBytes('fd00:10::6'), Buffer.from([2, 1]), macBytes('fd00:10::5')]);
      place('blue-a').sendFrame(icmpFrame6({ ...frame('fd00:10::5', 'fd00:10::5', destination), type, body, isHidden }));
    };
    const [spoofed, refused] = await countersIn(blueNet, 'spoofed', 'refused');
    send('another address', 'fd00:10::8');
    send('another MAC', 'fd00:10::5', 'fd00:10::8');
    send('another machine', 'fd00:10::8', 'fd00:10::8');
    send('the gateway', 'fd00:10::1');
    send('an address outside', '2001:db8::9');
    send('none', '::');
    send('link-local, as DHCP asks', 'fe80::5', 'fd00:10::5', 'ff02::1:2');
    assert.deepEqual(await countersIn(blueNet, 'spoofed', 'refused'), [spoofed! + 7, refused]);
    // To all neighbours, to the gateway, and to the machine beside.
    const places = ['ff02::1', 'fd00:10::1', 'fd00:10::6'];
    for (const type of [133, 134, 135, 136, 137]) for (const destination of places) tell(type, destination);
    tell(134, 'fd00:10::6', true);
    send('everybody', 'fd00:10::5', 'fd00:10::5', 'ff02::1');
    send('a neighbour on the wire', 'fd00:10::5', 'fd00:10::5', 'fe80::1');
    send('in IPv4 clothes', 'fd00:10::5', 'fd00:10::5', '::ffff:a50:5');
    assert.deepEqual(await countersIn(blueNet, 'spoofed', 'refused'), [spoofed! + 7, refused! + 19]);
    const { machines, dropped } = await world.network.usage(blueNet.id);
    assert.deepEqual([machines, dropped.spoofed, dropped.refused, dropped.blocked], [3, spoofed! + 7, refused! + 19, undefined]);
    assert.deepEqual(await world.network.usage(plainNet.id), { machines: 0, dropped: {} });
    send('itself', 'fd00:10::5');
    await until(() => listener.lines.includes('itself'));
    assert.deepEqual(listener.lines, ['ready', 'itself']);
    // Nobody's idea of who is where has changed, and nobody has given itself another address.
    assert.equal(await place('blue-a').ask('tcp', 'fd00:10::6', 90), 'fd00:10::5');
    assert.doesNotMatch(await place('blue-b').run('ip', '-6', 'addr', 'show', 'dev', 'eth0'), /dynamic|fe80/);
    assert.match(await place('blue-b').run('ip', '-6', 'neigh'), /^fd00:10::1 dev eth0 lladdr \S+ (router )?PERMANENT/);
  });

  test('IPv4 does not go over a network of IPv6, nor the other way round', async () => {
    const [spoofed] = await countersIn(blueNet, 'spoofed');
    const four = await world.settle(connection(10, 'four', [on(plainNet.id, '192.168.10.5')]));
    await four.run('ip', 'addr', 'add', 'fd00:10::9/64', 'dev', 'eth0', 'nodad');
    assert.match(await four.ask('tcp', 'fd00:10::5', 90), unreached);
    await four.run('ip', 'addr', 'del', 'fd00:10::9/64', 'dev', 'eth0');
    const [source, destination] = ['10.80.0.5', '192.168.10.5'].map(addressBytes) as [Buffer, Buffer];
    place('blue-a').sendFrame(
      udpFrame({ sourceMac: macBytes('fd00:10::5'), destinationMac: macBytes('fd00:10::1'), source, destination, port: 91, payload: 'four' }),
    );
    assert.deepEqual(await countersIn(blueNet, 'spoofed'), [spoofed! + 1]);
  });

  test('names are asked for by the gateway, whether there is a way out or not', async () => {
    assert.match(world.network.resolvConf([], [on(blueNet.id, 'fd00:10::5')]), /^nameserver fd00:10::1\n/);
    assert.match(world.network.resolvConf([], [on(islandNet.id, 'fd00:30::5')]), /^nameserver fd63:656e:6f74:ffff::1\n/);
    const askers: string[] = [];
    await using relay = await Relay.open({ address: '10.80.0.1', port: 53, resolvConfPath, logger, mayAsk: (from) => askers.push(from) > 0 });
    await relay.listen(backbone.gateway);
    for (const [name, server] of [
      ['blue-a', 'fd00:10::1'],
      ['island-a', 'fd63:656e:6f74:ffff::1'],
      ['shown', '2001:db8:5::1'],
    ] as const) {
      // The relay has nobody to ask, and says so.
      assert.equal((await place(name).run(process.execPath, '-e', resolveScript, server)).trim(), 'ESERVFAIL', name);
    }
    assert.deepEqual(askers, [backboneAddress(backbone, blueNet.uplink), backboneAddress(backbone, islandNet.uplink), '2001:db8:5::5']);
    world.network.resolverAt(5353);
    await using elsewhere = await Relay.open({ address: backbone.gateway, port: 5353, resolvConfPath, logger, mayAsk: () => true });
    assert.equal((await place('blue-a').run(process.execPath, '-e', resolveScript, 'fd00:10::1')).trim(), 'ESERVFAIL');
    assert.equal(elsewhere.status.failed, 1);
    world.network.resolverAt(53);
  });

  test('machines reach nothing else of the host, nor of other networks by it', async () => {
    for (const address of [backbone.gateway, hostSix, backboneAddress(backbone, greenNet.uplink), '2001:db8:5::5'])
      assert.match(await place('blue-a').ask('tcp', address, 90), /EACCES|timeout|EHOSTUNREACH|ENETUNREACH|ECONNREFUSED/, address);
    assert.match(await outside.ask('tcp', 'fd00:10::5', 90), unreached);
    assert.match(await outside.ask('tcp', backboneAddress(backbone, blueNet.uplink), 90), unreached);
  });

  test('the outside is reached where the host sends it on, and else refused at once', async () => {
    assert.equal(await place('blue-a').ask('tcp', outsideSix, 90), 'EACCES');
    assert.equal(await place('both').ask('tcp', outsideSix, 90), 'EACCES', 'a second NIC leads everywhere in its own family');
    assert.equal(await place('both').ask('tcp', outsideAddress, 90), '198.51.100.1');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    await restart();
    assert.equal(await place('blue-a').ask('tcp', outsideSix, 90), hostSix);
    assert.equal(await place('green-a').ask('udp', outsideSix, 90), hostSix);
    assert.equal(await place('both').ask('tcp', outsideSix, 90), hostSix);
    assert.equal(await place('shown').ask('tcp', outsideSix, 90), '2001:db8:5::5', 'a public network is seen as it is');
    assert.equal(await outside.ask('tcp', '2001:db8:5::5', 90), outsideSix);
    assert.match(await outside.ask('tcp', '2001:db8:5::6', 90), /EHOSTUNREACH|ENETUNREACH/, 'what nobody has does not go round');
    assert.match(await outside.ask('tcp', 'fd00:10::5', 90), unreached);
    assert.equal(await place('blue-a').ask('tcp', '2001:db8:5::5', 90), backboneAddress(backbone, blueNet.uplink));
    assert.match(await place('island-a').ask('tcp', outsideSix, 90), unreached);
    await world.network.define({ ...greenNet, version: 2, internetNat: false });
    assert.equal(await place('green-a').ask('tcp', outsideSix, 90), 'EACCES');
    await world.network.define({ ...greenNet, version: 3 });
  });

  test('senders are told of ways that take no packets as long as theirs', async () => {
    await run('ip', ['link', 'set', 'up0', 'mtu', '1300']);
    for (const name of ['blue-a', 'shown'])
      assert.match(await place(name).run('sh', '-c', `ping -c3 -W1 -i 0.2 -M do -s 1350 ${outsideSix} 2>&1 || true`), /mtu[ =:]*1300/, name);
    await run('ip', ['link', 'set', 'up0', 'mtu', '1500']);
  });

  test('NICs and addresses come and go while the machine runs', async () => {
    const { place: machine, connection: former } = world.machines.get('four')!;
    const second: Connection = { ...former, nics: [...former.nics!, { ...on(greenNet.id, 'fd00:10::20', 1, false), more: ['fd00:10::21'] }] };
    await world.network.setNics({ ...second, nics: [former.nics![0]!, on(greenNet.id, 'fd00:10::20', 1, false)] }, machine.pid, null);
    assert.equal(await machine.ask('tcp', 'fd00:10::5', 90), 'fd00:10::20');
    assert.match(await machine.run('ip', '-6', 'route', 'show', 'default'), /dev eth1/);
    assert.match(await machine.run('ip', '-4', 'route', 'show', 'default'), /dev eth0/);
    await world.network.setNics(second, machine.pid, null);
    assert.match(await place('green-a').run('ping', '-c1', '-W5', 'fd00:10::21'), /1 received/);
    await world.network.setNics({ ...second, nics: [former.nics![0]!, on(greenNet.id, 'fd00:10::20', 1, false)] }, machine.pid, null);
    assert.doesNotMatch(await machine.run('ip', '-6', 'addr'), /::21/);
    // Another leads everywhere when the first goes.
    const [green, shown] = [on(greenNet.id, 'fd00:10::20', 1, false), on(publicNet.id, '2001:db8:5::20', 2, false)];
    await world.network.setNics({ ...former, nics: [former.nics![0]!, green, shown] }, machine.pid, null);
    assert.match(await machine.run('ip', '-6', 'route', 'show', 'default'), /dev eth1/);
    await world.network.setNics({ ...former, nics: [former.nics![0]!, shown] }, machine.pid, null);
    assert.match(await machine.run('ip', '-6', 'route', 'show', 'default'), /dev eth2/);
    assert.equal(await machine.ask('tcp', outsideSix, 90), '2001:db8:5::20');
    assert.doesNotMatch(await machine.run('ip', 'link'), /eth1/);
    // And the primary, when it is of that family.
    const turned: Connection = {
      ...former,
      address: shown.address,
      nics: [
        { ...former.nics![0]!, primary: false },
        { ...shown, primary: true },
        { ...green, index: 1 },
      ],
    };
    await world.network.setNics(turned, machine.pid, null);
    assert.match(await machine.run('ip', '-6', 'route', 'show', 'default'), /dev eth2/);
    assert.match(await machine.run('ip', '-4', 'route', 'show', 'default'), /dev eth0/);
    await assert.rejects(world.network.setNics({ ...turned, nics: [...turned.nics!, on(blueNet.id, 'fd00:10::5', 3, false)] }, machine.pid, null), {
      code: 'in_use',
    });
    await world.network.setNics(former, machine.pid, null);
    assert.match(await machine.run('ip', '-6', 'route'), /^$/);
  });

  test('a machine carries what the network sends to it', async () => {
    const carrier = place('blue-b');
    await carrier.run('ip', 'addr', 'add', 'fd77::1/128', 'dev', 'lo');
    await world.network.define({ ...blueNet, version: 2, routes: { 'fd77::/64': 'fd00:10::6' } });
    assert.equal(await place('blue-a').ask('tcp', 'fd77::1', 90), 'fd00:10::5');
    assert.match(await place('green-a').ask('tcp', 'fd77::1', 90), unreached);
    await world.network.define({ ...blueNet, version: 3 });
    assert.match(await place('blue-a').ask('tcp', 'fd77::1', 90), unreached);
  });

  test('a flow goes on while the agent is restarted, and what is broken is repaired', async () => {
    const talker = await talk(place('blue-b'), place('blue-a'), 'fd00:10::5', 93);
    await restart();
    const seen = talker.lines.length;
    await until(() => talker.lines.length > seen + 20);
    assert.ok(!talker.lines.includes('closed'));
    assert.equal(await place('blue-a').ask('tcp', outsideSix, 90), hostSix);
    await world.network.close({ remove: false });
    removeNamedNamespace(`${routers}/${readdirSync(routers).find((name) => name.endsWith(greenNet.id))!}`);
    await place('blue-b').run('ip', 'link', 'delete', 'eth0');
    await restart();
    assert.equal(await place('blue-b').ask('tcp', 'fd00:10::5', 90), 'fd00:10::6');
    assert.equal(await place('green-b').ask('tcp', 'fd00:10::5', 90), 'fd00:10::7');
    assert.equal(await place('green-a').ask('tcp', outsideSix, 90), hostSix);
  });

  test('an address is free as soon as its machine is gone', async () => {
    await world.network.disconnect(world.machines.get('blue-b')!.connection.slot);
    assert.match(await place('blue-a').ask('tcp', 'fd00:10::6', 90), unreached);
    const next = await world.settle(connection(20, 'blue-c', [on(blueNet.id, 'fd00:10::6')]));
    await next.serve(90, '::');
    assert.equal(await place('blue-a').ask('tcp', 'fd00:10::6', 90), 'fd00:10::5');
  });
});

describe('a host without IPv6', () => {
  test('says so of a machine that is to have it, and serves the others', async () => {
    await becomeHost();
    writeFileSync('/proc/sys/net/ipv6/conf/all/disable_ipv6', '1');
    const files = driverFiles('nosix');
    const network = await openNetwork({
      instance: files.instance,
      instanceNumber: 7,
      subnet,
      logger,
      resolvConfPath: files.resolvConfPath,
      routerLingerMs: 20,
    });
    await network.define(blueNet);
    await using world = new AsyncDisposableStack();
    const machines: Settled = new Map();
    const plain = await settleIn(world, network, machines, connection(1, 'plain', [on(externalNetwork, '10.80.0.5')]));
    assert.match(await plain.run('ping', '-c1', '-W1', '10.80.0.1'), /1 received/);
    await assert.rejects(settleIn(world, network, machines, connection(2, 'six', [on(blueNet.id, 'fd00:10::5')])), {
      code: 'unavailable',
      message: /this host has no IPv6/,
    });
    assert.deepEqual(existsSync(files.routers) ? readdirSync(files.routers) : [], []);
    await network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    files.tidy();
  });
});
