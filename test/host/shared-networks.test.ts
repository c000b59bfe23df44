/** Networks of the operator with real namespaces and real packets, at the driver: machines of several accounts, hidden behind the host or seen as they are. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import { macBytes } from '../../src/model/mac.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import type { NetworkDefinition } from '../../src/model/network.ts';
import { addressBytes } from '../../src/model/address.ts';
import { Relay } from '../../src/resolver/relay.ts';
import { DriverWorld, connection, define, driverFiles, logger, on, subnet, unreached } from './driver-world.ts';
import { askFromHost, becomeHost, createOutside, hostAddress, outsideAddress, udpFrame, until } from './network-world.ts';
import type { Place } from './network-world.ts';

const publicSubnet = '203.0.113.0/24';
const { instance, resolvConfPath, routers, tidy } = driverFiles('shared');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 4, subnet, logger, resolvConfPath, routerLingerMs: 20 });

const shared = (number: number, more: Partial<NetworkDefinition>): NetworkDefinition =>
  define(number, null, { subnet: '10.99.0.0/24', gateway: '10.99.0.1', mtu: 1500, ...more });
const hidden = shared(1, {});
const seen = shared(2, { subnet: publicSubnet, gateway: '203.0.113.1', isPublic: true });
const fabric = shared(3, { account: 'blue', subnet: '192.168.10.0/24', gateway: '192.168.10.1' });

describe('shared networks', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const settle = async (made: Connection): Promise<Place> => {
    const place = await world.settle(made);
    await place.serve(90);
    return place;
  };
  const place = (name: string): Place => world.place(name);
  const networks = [hidden, seen, fabric];
  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside(subnet, publicSubnet, hidden.subnet));
    await run('ip', ['route', 'add', 'default', 'via', outsideAddress]);
    await outside.serve(90);
    await world.open(networks);
    await settle(connection(1, 'hidden-a', [on(hidden.id, '10.99.0.5')], [{ protocol: 'tcp', hostPort: 8081, machinePort: 90 }]));
    await settle(connection(2, 'hidden-b', [on(hidden.id, '10.99.0.6')]));
    await settle(connection(3, 'seen-a', [on(seen.id, '203.0.113.5')], [{ protocol: 'tcp', hostPort: 8083, machinePort: 90 }]));
    await settle(connection(4, 'seen-b', [on(seen.id, '203.0.113.6')]));
    await settle(connection(5, 'plain', [on(externalNetwork, '10.80.0.5')]));
    await settle(connection(6, 'blue', [on(fabric.id, '192.168.10.5')]));
  });

  after(async () => {
    await world.network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    assert.doesNotMatch(await run('ip', ['route']), /203\.0\.113|10\.99/);
    assert.deepEqual(existsSync(routers) ? readdirSync(routers) : [], []);
    await world[Symbol.asyncDispose]();
    tidy();
  });

  test('machines on one reach each other', async () => {
    assert.equal(await place('hidden-b').ask('tcp', '10.99.0.5', 90), '10.99.0.6');
    assert.equal(await place('seen-b').ask('udp', '203.0.113.5', 90), '203.0.113.6');
  });

  test('those of a public one are reached from everywhere, and seen as they are', async () => {
    assert.equal(await outside.ask('tcp', '203.0.113.5', 90), outsideAddress);
    assert.equal(await outside.ask('udp', '203.0.113.6', 90), outsideAddress);
    assert.equal(await place('seen-a').ask('tcp', outsideAddress, 90), '203.0.113.5');
    assert.equal(await place('plain').ask('tcp', '203.0.113.5', 90), '10.80.0.5');
    assert.equal(await place('blue').ask('tcp', '203.0.113.5', 90), fabric.uplink);
    assert.equal(await place('hidden-a').ask('tcp', '203.0.113.5', 90), hidden.uplink);
    assert.equal(await askFromHost('tcp', '203.0.113.5', 90), '10.80.0.1');
    assert.equal(await outside.ask('tcp', hostAddress, 8083), outsideAddress);
    // What they do not come into: the host, machines' own addresses elsewhere.
    assert.match(await place('seen-a').ask('tcp', '10.80.0.105', 90), unreached);
    assert.match(await place('seen-a').ask('tcp', '192.168.10.5', 90), unreached);
  });

  test('those of another are hidden behind its own address, and reached by what they publish', async () => {
    assert.equal(await place('hidden-a').ask('tcp', outsideAddress, 90), hostAddress);
    assert.equal(await place('hidden-a').ask('tcp', '10.80.0.5', 90), hidden.uplink);
    assert.equal(await outside.ask('tcp', hostAddress, 8081), outsideAddress);
    for (const from of ['plain', 'blue', 'seen-a']) assert.match(await place(from).ask('tcp', '10.99.0.5', 90), unreached, from);
    assert.match(await outside.ask('tcp', '10.99.0.5', 90), unreached);
  });

  test('several addresses on one NIC, which come and go while the machine runs', async () => {
    const { place: machine, connection: former } = world.machines.get('seen-a')!;
    const withMore = (...more: string[]): Connection => ({ ...former, nics: [{ ...former.nics![0]!, more }] });
    await world.network.setNics(withMore('203.0.113.50', '203.0.113.51'), machine.pid, null);
    assert.equal(await outside.ask('tcp', '203.0.113.50', 90), outsideAddress);
    assert.equal(await place('seen-b').ask('tcp', '203.0.113.51', 90), '203.0.113.6');
    assert.equal(await machine.ask('tcp', outsideAddress, 90), '203.0.113.5', 'the first is what it is known by');
    const script = `require('node:net').connect({ host: process.argv[1], port: 90, localAddress: '203.0.113.51' }).on('data', (d) => console.log(String(d))).on('error', (e) => console.log(e.code))`;
    assert.equal((await machine.run(process.execPath, '-e', script, outsideAddress)).trim(), '203.0.113.51');
    await assert.rejects(world.network.setNics(withMore('203.0.113.50', '203.0.113.51', '203.0.113.6'), machine.pid, null), { code: 'in_use' });
    await assert.rejects(world.network.setNics(withMore('203.0.113.50', '203.0.113.51', '203.0.114.6'), machine.pid, null), { code: 'invalid_argument' });
    assert.doesNotMatch(await machine.run('ip', '-br', 'addr'), /203\.0\.11[34]\.6/);
    await assert.rejects(world.network.connect(connection(9, 'thief', [on(seen.id, '203.0.113.50', 3)]), machine.fd), { code: 'in_use' });
    // On the external network, and one that is connected with them from the start.
    const plain = world.machines.get('plain')!;
    const more: Connection = { ...plain.connection, nics: [{ ...plain.connection.nics![0]!, more: ['10.80.0.50'] }] };
    await world.network.setNics(more, plain.place.pid, null);
    assert.equal(await askFromHost('tcp', '10.80.0.50', 90), '10.80.0.1');
    const guarded = { id: seen.id, account: 'green', tags: {}, firewall: true };
    await world.network.firewall.restore([], [{ ...guarded, address: '10.80.0.5', nics: more.nics! }]);
    for (const address of ['10.80.0.5', '10.80.0.50']) assert.equal(await place('blue').ask('tcp', address, 90), 'timeout', 'a firewall is on all of them');
    const rule = { id: 'r', account: 'green', rule: parseRule(`FROM any TO vm ${seen.id} ALLOW tcp PORT 90`), log: false };
    await world.network.firewall.changeRules([rule], []);
    assert.equal(await place('blue').ask('tcp', '10.80.0.50', 90), fabric.uplink);
    await world.network.firewall.restore([], []);
    await world.network.setNics(plain.connection, plain.place.pid, null);
    assert.match(await place('blue').ask('tcp', '10.80.0.50', 90), unreached);

    world.machines.set('seen-a', { place: machine, connection: withMore('203.0.113.50', '203.0.113.51') });
    await world.restart(networks);
    world.machines.set('seen-a', { place: machine, connection: former });
    assert.equal(await outside.ask('tcp', '203.0.113.50', 90), outsideAddress);
    await world.network.setNics(withMore('203.0.113.51'), machine.pid, null);
    assert.match(await outside.ask('tcp', '203.0.113.50', 90), unreached);
    assert.equal(await outside.ask('tcp', '203.0.113.51', 90), outsideAddress);
    await world.network.setNics(former, machine.pid, null);
    assert.doesNotMatch(await machine.run('ip', '-br', 'addr'), /203\.0\.113\.5\d/);
    assert.equal(await outside.ask('tcp', '203.0.113.5', 90), outsideAddress);
  });

  test('an address that nobody has is answered here', async () => {
    assert.equal(await place('plain').ask('tcp', '203.0.113.99', 90), 'EHOSTUNREACH');
    assert.equal(await place('seen-a').ask('tcp', '203.0.113.99', 90), 'EHOSTUNREACH');
    // The host may have told of a better way just before, and then says no more: what matters is that nothing comes back as if forwarded.
    assert.match(await outside.ask('tcp', '203.0.113.99', 90), unreached);
    assert.match(await place('hidden-a').ask('tcp', '10.99.0.99', 90), /EHOSTUNREACH/);
  });

  test('the resolver sees who asks', async () => {
    const asked: string[] = [];
    await using _relay = await Relay.open({
      address: '10.80.0.1',
      port: 53,
      resolvConfPath,
      logger,
      mayAsk: (from) => {
        asked.push(from);
        return true;
      },
    });
    const script = `const r = new (require('node:dns').Resolver)({ timeout: 700, tries: 1 }); r.setServers([process.argv[1]]); r.resolve4('x.test', (e) => console.log(e.code))`;
    for (const [name, server] of [
      ['hidden-a', '10.99.0.1'],
      ['seen-b', '203.0.113.1'],
    ] as const)
      assert.equal((await place(name).run(process.execPath, '-e', script, server)).trim(), 'ESERVFAIL', name);
    assert.deepEqual([...new Set(asked)], ['10.99.0.5', '203.0.113.6']);
  });

  test('nobody takes one of their addresses', async () => {
    const listener = place('seen-b').follow(
      process.execPath,
      '-e',
      "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => console.log(String(m))); u.bind(91, () => console.log('ready'))",
    );
    await until(() => listener.lines.includes('ready'));
    const send = (from: Place, source: string, mac: Buffer, router: Buffer, payload: string) =>
      from.sendFrame(
        udpFrame({ sourceMac: mac, destinationMac: router, source: addressBytes(source), destination: addressBytes('203.0.113.6'), port: 91, payload }),
      );
    const routerMac = (text: string) => macBytes(text);
    const hostMac = Buffer.from((await run('ip', ['-br', 'link', 'show', 'up0'])).match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/)![0].replaceAll(':', ''), 'hex');
    const outsideMac = Buffer.from(
      (await outside.run('ip', '-br', 'link', 'show', 'eth0')).match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/)![0].replaceAll(':', ''),
      'hex',
    );
    send(place('seen-a'), '203.0.113.7', macBytes('203.0.113.5'), routerMac('203.0.113.1'), 'a machine beside');
    send(place('plain'), '203.0.113.5', macBytes('10.80.0.5'), routerMac('10.80.0.1'), 'a machine of another network');
    send(place('hidden-a'), '203.0.113.5', macBytes('10.99.0.5'), routerMac('10.99.0.1'), 'a machine of a hidden network');
    send(outside, '203.0.113.5', outsideMac, hostMac, 'the outside as a machine');
    send(outside, '10.99.0.5', outsideMac, hostMac, 'the outside as a hidden machine');
    send(outside, '198.51.100.2', outsideMac, hostMac, 'the outside');
    send(place('seen-a'), '203.0.113.5', macBytes('203.0.113.5'), routerMac('203.0.113.1'), 'itself');
    await until(() => listener.lines.includes('itself') && listener.lines.includes('the outside'));
    assert.deepEqual(listener.lines.toSorted(), ['itself', 'ready', 'the outside']);
  });

  test('the firewall judges by everybody’s rules, and by the sender as it is', async () => {
    const machine = { id: seen.id, account: 'green', address: '203.0.113.5', nics: [on(seen.id, '203.0.113.5')], tags: {}, firewall: true };
    const rule = { id: 'r', account: 'green', rule: parseRule(`FROM ip ${outsideAddress} TO all vms ALLOW tcp PORT 90`), log: false };
    await world.network.firewall.restore([], [machine]);
    assert.equal(await outside.ask('tcp', '203.0.113.5', 90), 'timeout');
    await world.network.firewall.changeRules([rule], []);
    assert.equal(await outside.ask('tcp', '203.0.113.5', 90), outsideAddress);
    assert.equal(await place('seen-b').ask('tcp', '203.0.113.5', 90), 'timeout');
    await world.network.firewall.restore([], []);
  });

  test('a flow goes on while the agent is restarted, and addresses go with their machines', async () => {
    const server = place('seen-b').follow(process.execPath, '-e', "require('node:net').createServer((s) => s.pipe(s)).listen(92, () => console.log('ready'))");
    await until(() => server.lines.includes('ready'));
    const talker = outside.follow(
      process.execPath,
      '-e',
      "const s = require('node:net').connect(92, '203.0.113.6'); let n = 0; s.on('data', () => { console.log(++n); setTimeout(() => s.write('x'), 5); }); s.on('close', () => console.log('closed')); s.on('error', () => {}); s.on('connect', () => s.write('x'));",
    );
    await until(() => talker.lines.length > 5);
    await world.network.disconnect(1);
    world.machines.delete('hidden-a');
    await world.restart(networks);
    const lines = talker.lines.length;
    await until(() => talker.lines.length > lines + 20);
    assert.ok(!talker.lines.includes('closed'));
    await world.network.disconnect(4);
    assert.match(await outside.ask('tcp', '203.0.113.6', 90), unreached);
    assert.equal(await outside.ask('tcp', '203.0.113.5', 90), outsideAddress);
    await world.network.disconnect(3);
    await until(() => !readdirSync(routers).some((name) => name.endsWith(seen.id)));
    const spare = await settle(connection(4, 'seen-c', [on(seen.id, '203.0.113.6')]));
    assert.equal(await outside.ask('tcp', '203.0.113.6', 90), outsideAddress);
    assert.equal(await spare.ask('tcp', outsideAddress, 90), '203.0.113.6');
  });
});
