/** Fabric networks with real namespaces and real packets, at the driver: two accounts with the same subnet on one host, unaware of each other. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import type { FirewallMachine, OwnedRule } from '../../src/model/firewall/rule.ts';
import { macBytes } from '../../src/model/mac.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import type { NetworkDefinition, Nic } from '../../src/model/network.ts';
import { Relay } from '../../src/resolver/relay.ts';
import { addressBytes } from '../../src/model/address.ts';
import { removeNamedNamespace } from '../../src/sys/named-netns.ts';
import { DriverWorld, connection, define, driverFiles, idOf, logger, on, subnet } from './driver-world.ts';
import { Place, askFromHost, becomeHost, createOutside, hostAddress, outsideAddress, udpFrame, until } from './network-world.ts';

const { instance, resolvConfPath, routers, tidy } = driverFiles('fabric');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 3, subnet, logger, resolvConfPath, routerLingerMs: 20 });

const [blueNet, greenNet, closedNet, islandNet] = [
  define(1, 'blue'),
  define(2, 'green'),
  define(3, 'blue', { subnet: '192.168.20.0/24', gateway: '192.168.20.1', internetNat: false }),
  define(4, 'blue', { subnet: '192.168.30.0/24', gateway: null }),
] as const;

/** Says what datagrams come to port 91. */
const listenScript =
  "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => console.log(String(m))); u.bind(91, () => console.log('ready'))";
/** Says what comes of asking a server for a name. */
const resolveScript = `const r = new (require('node:dns').Resolver)({ timeout: 700, tries: 1 }); r.setServers([process.argv[1]]); r.resolve4('x.test', (e) => console.log(e.code))`;
const tcp = (hostPort: number, machinePort: number) => ({ protocol: 'tcp' as const, hostPort, machinePort });

describe('fabric networks', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const place = (name: string): Place => world.place(name);
  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside(subnet, '192.168.10.0/24'));
    await outside.serve(90);
    await world.open([blueNet, greenNet, closedNet, islandNet]);
    await world.settle(connection(1, 'blue-a', [on(blueNet.id, '192.168.10.5')], [tcp(8081, 90)]));
    await world.settle(connection(2, 'blue-b', [on(blueNet.id, '192.168.10.6')]));
    await world.settle(connection(3, 'green-a', [on(greenNet.id, '192.168.10.5')], [tcp(8083, 90)]));
    await world.settle(connection(4, 'green-b', [on(greenNet.id, '192.168.10.7')]));
    await world.settle(connection(5, 'plain', [on(externalNetwork, '10.80.0.5')]));
    await world.settle(connection(6, 'closed-a', [on(closedNet.id, '192.168.20.5')], [tcp(8086, 90)]));
    await world.settle(connection(7, 'both', [on(externalNetwork, '10.80.0.7'), on(blueNet.id, '192.168.10.8', 1, false)]));
    for (const { place: machine } of world.machines.values()) await machine.serve(90);
  });

  after(async () => {
    await world.network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    assert.deepEqual(existsSync(routers) ? readdirSync(routers) : [], []);
    assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(`cenote-${instance}`));
    await world[Symbol.asyncDispose]();
    tidy();
  });

  test('two accounts have the same subnet and the same address, and each reaches its own', async () => {
    assert.equal(await place('blue-b').ask('tcp', '192.168.10.5', 90), '192.168.10.6');
    assert.equal(await place('green-b').ask('tcp', '192.168.10.5', 90), '192.168.10.7');
    assert.equal(await place('green-b').ask('udp', '192.168.10.5', 90), '192.168.10.7');
    assert.equal(await place('both').ask('tcp', '192.168.10.5', 90), '192.168.10.8');
    // What only the other account has.
    assert.match(await place('blue-b').ask('tcp', '192.168.10.7', 90), /EHOSTUNREACH|timeout/);
    assert.match(await place('green-b').ask('tcp', '192.168.10.6', 90), /EHOSTUNREACH|timeout/);
  });

  test('the outside is reached under the network’s own address, and only where the network has a way out', async () => {
    assert.equal(await place('blue-b').ask('tcp', outsideAddress, 90), hostAddress);
    assert.equal(await place('green-a').ask('udp', outsideAddress, 90), hostAddress);
    assert.equal(await place('blue-b').ask('tcp', '10.80.0.5', 90), blueNet.uplink, 'machines on the external network are outside');
    assert.match(await place('closed-a').ask('tcp', outsideAddress, 90), /EHOSTUNREACH|timeout/);
    await world.network.define({ ...closedNet, version: 2, internetNat: true });
    assert.equal(await place('closed-a').ask('tcp', outsideAddress, 90), hostAddress);
    await world.network.define({ ...closedNet, version: 3 });
    assert.match(await place('closed-a').ask('tcp', outsideAddress, 90), /EHOSTUNREACH|timeout/);
    await world.network.define({ ...closedNet, version: 2, internetNat: true });
    assert.match(await place('closed-a').ask('tcp', outsideAddress, 90), /EHOSTUNREACH|timeout/, 'an older one changes nothing');
  });

  test('nobody comes in but by what is published, and under their own address', async () => {
    assert.equal(await outside.ask('tcp', hostAddress, 8081), outsideAddress);
    assert.equal(await outside.ask('tcp', hostAddress, 8083), outsideAddress);
    assert.equal(await outside.ask('tcp', hostAddress, 8086), outsideAddress, 'also where there is no way out');
    assert.equal(await askFromHost('tcp', '127.0.0.1', 8081), '10.80.0.1');
    assert.equal(await place('plain').ask('tcp', hostAddress, 8081), '10.80.0.5');
    assert.equal(await place('green-a').ask('tcp', hostAddress, 8081), greenNet.uplink);
    assert.match(await outside.ask('tcp', '192.168.10.5', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
    assert.match(await outside.ask('tcp', blueNet.uplink, 90), /timeout|EHOSTUNREACH|ECONNREFUSED/);
    assert.match(await place('plain').ask('tcp', blueNet.uplink, 90), /timeout|EHOSTUNREACH|ECONNREFUSED/);
    assert.match(await place('plain').ask('tcp', '192.168.10.5', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
    await assert.rejects(world.network.publish({ ...world.machines.get('blue-b')!.connection, publish: [tcp(8083, 90)] }), { code: 'in_use' });
    await world.network.publish({ ...world.machines.get('blue-b')!.connection, publish: [tcp(8082, 90)] });
    assert.equal(await outside.ask('tcp', hostAddress, 8082), outsideAddress);
    assert.equal(await outside.ask('tcp', hostAddress, 8081), outsideAddress, 'the other machine of the network keeps its own');
    await world.network.publish(world.machines.get('blue-b')!.connection);
    assert.match(await outside.ask('tcp', hostAddress, 8082), /ECONNREFUSED/);
  });

  test('what claims to be another is dropped', async () => {
    const listener = place('blue-b').follow(process.execPath, '-e', listenScript);
    await until(() => listener.lines.includes('ready'));
    const send = (source: string, mac: string, payload: string) =>
      place('blue-a').sendFrame(
        udpFrame({
          sourceMac: macBytes(mac),
          destinationMac: macBytes('192.168.10.1'),
          source: addressBytes(source),
          destination: addressBytes('192.168.10.6'),
          port: 91,
          payload,
        }),
      );
    send('192.168.10.8', '192.168.10.5', 'another address');
    send('192.168.10.5', '192.168.10.8', 'another MAC');
    send('192.168.10.8', '192.168.10.8', 'another machine');
    send('203.0.113.9', '192.168.10.5', 'an address outside');
    send('192.168.10.5', '192.168.10.5', 'itself');
    await until(() => listener.lines.includes('itself'));
    assert.deepEqual(listener.lines, ['ready', 'itself']);
  });

  test('the firewall holds on each network for its own account', async () => {
    const rule = (account: string | null, text: string): OwnedRule => ({ id: `${account}-${text}`, account, rule: parseRule(text), log: false });
    const guarded = (id: string, account: string, nics: readonly Nic[], tags = {}): FirewallMachine => ({
      id,
      account,
      address: nics.find(({ primary }) => primary)!.address,
      nics,
      tags,
      firewall: true,
    });
    const [blueA, greenA] = [
      guarded(idOf(1), 'blue', [on(blueNet.id, '192.168.10.5')], { role: 'db' }),
      guarded(idOf(2), 'green', [on(greenNet.id, '192.168.10.5')], { role: 'db' }),
    ];
    const web = { ...guarded(idOf(3), 'blue', [on(blueNet.id, '192.168.10.6')], { role: 'web' }), firewall: false };
    const open = rule('blue', 'FROM tag role = web TO tag role = db ALLOW tcp PORT 90');
    await world.network.firewall.restore([open], [blueA, greenA, web]);
    assert.equal(await place('blue-b').ask('tcp', '192.168.10.5', 90), '192.168.10.6');
    assert.equal(await place('both').ask('tcp', '192.168.10.5', 90), 'timeout', 'not named by the rule');
    assert.equal(await place('green-b').ask('tcp', '192.168.10.5', 90), 'timeout', 'another account’s rule opens nothing');
    assert.equal(await outside.ask('tcp', hostAddress, 8081), 'timeout', 'a published port is the machine, and as closed');
    const fromOutside = rule('blue', `FROM ip ${outsideAddress} TO tag role = db ALLOW tcp PORT 90`);
    await world.network.firewall.changeRules([fromOutside], [open.id]);
    assert.equal(await outside.ask('tcp', hostAddress, 8081), outsideAddress);
    assert.equal(await place('blue-b').ask('tcp', '192.168.10.5', 90), 'timeout');
    assert.equal(await outside.ask('tcp', hostAddress, 8083), 'timeout');
    await world.network.firewall.changeRules([rule(null, 'FROM any TO all vms ALLOW tcp PORT 90')], []);
    assert.equal(await place('green-b').ask('tcp', '192.168.10.5', 90), '192.168.10.7');
    await world.network.firewall.restore([], []);
    assert.equal(await place('both').ask('tcp', '192.168.10.5', 90), '192.168.10.8');
  });

  test('names are asked for by the gateway, whether there is a way out or not', async () => {
    assert.match(world.network.resolvConf([], [on(blueNet.id, '192.168.10.5')]), /^nameserver 192\.168\.10\.1\n/);
    assert.match(world.network.resolvConf([], [on(islandNet.id, '192.168.30.5')]), /^nameserver 169\.254\.1\.1\n/);
    assert.match(world.network.resolvConf([], [on(externalNetwork, '10.80.0.5')]), /^nameserver 10\.80\.0\.1\n/);
    await using _relay = await Relay.open({ address: '10.80.0.1', port: 53, resolvConfPath, logger, mayAsk: () => true });
    for (const [name, server] of [
      ['blue-a', '192.168.10.1'],
      ['closed-a', '192.168.20.1'],
    ] as const) {
      // The relay has nobody to ask, and says so.
      assert.equal((await place(name).run(process.execPath, '-e', resolveScript, server)).trim(), 'ESERVFAIL', name);
    }
  });

  test('NICs come and go while the machine runs', async () => {
    const { place: machine, connection: former } = world.machines.get('plain')!;
    const second: Connection = { ...former, nics: [...former.nics!, on(greenNet.id, '192.168.10.20', 1, false)] };
    await world.network.setNics(second, machine.pid, null);
    assert.equal(await machine.ask('tcp', '192.168.10.5', 90), '192.168.10.20');
    assert.equal(await place('green-a').ask('tcp', '192.168.10.20', 90), '192.168.10.5');
    assert.equal(await machine.ask('tcp', outsideAddress, 90), hostAddress);
    assert.match(await machine.run('ip', 'link', 'show', 'eth1'), /mtu 1450/);
    // Another primary: what is published follows, and the way out is the other network's.
    const turned: Connection = {
      ...second,
      address: '192.168.10.20',
      nics: [on(externalNetwork, '10.80.0.5', 0, false), on(greenNet.id, '192.168.10.20', 1)],
      publish: [tcp(8085, 90)],
    };
    await world.network.setNics(turned, machine.pid, null);
    assert.equal(await machine.ask('tcp', '10.80.0.7', 90), '10.80.0.5');
    assert.equal(await outside.ask('tcp', hostAddress, 8085), outsideAddress);
    assert.match(await machine.run('ip', 'route', 'show', 'default'), /dev eth1/);
    const only: Connection = { ...turned, nics: [on(greenNet.id, '192.168.10.20', 1)] };
    await world.network.setNics(only, machine.pid, null);
    assert.doesNotMatch(await machine.run('ip', 'link'), /eth0/);
    assert.equal(await outside.ask('tcp', hostAddress, 8085), outsideAddress);
    // One that cannot be had is refused as a whole.
    await assert.rejects(world.network.setNics({ ...only, nics: [...only.nics!, on(blueNet.id, '192.168.10.6', 2, false)] }, machine.pid, null), {
      code: 'in_use',
    });
    await assert.rejects(world.network.setNics({ ...only, nics: [...only.nics!, on(idOf(9), '192.168.10.6', 2, false)] }, machine.pid, null), {
      code: 'unavailable',
    });
    assert.doesNotMatch(await machine.run('ip', 'link'), /eth2/);
    await world.network.setNics({ ...former, nics: [on(externalNetwork, '10.80.0.5', 0)] }, machine.pid, null);
    assert.equal(await machine.ask('tcp', outsideAddress, 90), hostAddress);
    assert.doesNotMatch(await machine.run('ip', 'link'), /eth1/);
  });

  test('thirty-two NICs', async () => {
    const many = Array.from({ length: 31 }, (_, at): NetworkDefinition => ({
      ...define(1, 'blue', { subnet: `172.16.${at}.0/24`, gateway: `172.16.${at}.1`, uplink: `10.80.1.${at + 1}` }),
      id: `00000000-0000-4000-9000-0000000000${String(at + 10)}`,
    }));
    for (const definition of many) await world.network.define(definition);
    const { place: machine, connection: former } = world.machines.get('plain')!;
    const nics = [on(externalNetwork, '10.80.0.5'), ...many.map(({ id }, at) => on(id, `172.16.${at}.9`, at + 1, false))];
    await world.network.setNics({ ...former, nics }, machine.pid, null);
    assert.equal((await machine.run('ip', '-br', 'link')).split('\n').filter((line) => line.startsWith('eth')).length, 32);
    assert.deepEqual(await world.network.traffic(5).then(({ sentBytes }) => sentBytes > 0), true);
    await world.network.setNics(former, machine.pid, null);
    assert.equal((await machine.run('ip', '-br', 'link')).split('\n').filter((line) => line.startsWith('eth')).length, 1);
  });

  test('more networks than a library with few descriptors would bear', async () => {
    const count = 300;
    const spare = world.stack.use(await Place.create('machine'));
    const of = (at: number) => ({ id: `00000000-0000-4000-a000-${String(at).padStart(12, '0')}`, address: `172.${20 + (at >> 8)}.${at & 255}.9` });
    for (let at = 0; at < count; at++) {
      const { id, address } = of(at);
      const net = address.replace(/9$/, '');
      await world.network.define({ ...define(1, 'blue', { subnet: `${net}0/24`, gateway: `${net}1`, uplink: `10.80.${2 + (at >> 8)}.${at & 255}` }), id });
      await world.network.connect(connection(1000 + at, `many-${at}`, [on(id, address, at)]), spare.fd);
    }
    assert.equal(readdirSync('/proc/self/fd').length > 1024, true);
    await world.network.firewall.restore(
      [],
      [{ id: idOf(1), account: 'blue', address: of(7).address, nics: [on(of(7).id, of(7).address)], tags: {}, firewall: true }],
    );
    await world.network.firewall.restore([], []);
    for (let at = 0; at < count; at++) await world.network.disconnect(1000 + at);
    await until(() => readdirSync(routers).length < 40, 60_000);
  });

  test('a flow goes on while the agent is restarted, and what is broken is repaired', async () => {
    const server = place('blue-b').follow(process.execPath, '-e', "require('node:net').createServer((s) => s.pipe(s)).listen(92, () => console.log('ready'))");
    await until(() => server.lines.includes('ready'));
    const talker = place('blue-a').follow(
      process.execPath,
      '-e',
      "const s = require('node:net').connect(92, '192.168.10.6'); let n = 0; s.on('data', () => { console.log(++n); setTimeout(() => s.write('x'), 5); }); s.on('close', () => console.log('closed')); s.on('connect', () => s.write('x'));",
    );
    await until(() => talker.lines.length > 5);
    await world.restart([blueNet, greenNet, { ...closedNet, version: 3 }, islandNet]);
    const seen = talker.lines.length;
    await until(() => talker.lines.length > seen + 20);
    assert.ok(!talker.lines.includes('closed'));
    assert.equal(await outside.ask('tcp', hostAddress, 8081), outsideAddress);
    assert.equal(readdirSync(routers).length, 3, 'those without machines are gone');

    // A link and a whole router are taken away by somebody: the next restart makes them anew.
    await world.network.close({ remove: false });
    const path = readdirSync(routers).find((name) => name.endsWith(greenNet.id))!;
    removeNamedNamespace(join(routers, path));
    await place('blue-b').run('ip', 'link', 'delete', 'eth0');
    await until(async () => !/eth0/.test(await place('green-b').run('ip', 'link')));
    await world.open([blueNet, greenNet, { ...closedNet, version: 3 }, islandNet]);
    await world.network.restore(world.kept(), []);
    assert.equal(await place('blue-b').ask('tcp', '192.168.10.5', 90), '192.168.10.6');
    assert.equal(await place('green-b').ask('tcp', '192.168.10.5', 90), '192.168.10.7');
    assert.equal(await outside.ask('tcp', hostAddress, 8083), outsideAddress);
  });

  test('a router goes after its last machine, and comes with the next, whenever that is', async () => {
    const spare = world.stack.use(await Place.create('machine'));
    const one = connection(40, 'lonely', [on(islandNet.id, '192.168.30.5')]);
    for (let round = 0; round < 12; round++) {
      await world.network.connect(one, spare.fd);
      assert.match(await spare.run('ip', 'route'), /^192\.168\.30\.0\/24 via 169\.254\.1\.1 dev eth0 .*onlink/m);
      await world.network.disconnect(one.slot);
      await until(async () => !/eth0/.test(await spare.run('ip', 'link')));
      await sleep(round * 4);
    }
    await until(() => !readdirSync(routers).some((name) => name.endsWith(islandNet.id)));
    assert.equal(await place('blue-a').ask('tcp', '192.168.10.6', 90), '192.168.10.5', 'others stay');
  });

  test('what a machine carries goes to it, and may come from it, from the network’s machines and nobody else', async () => {
    const carrying = { ...blueNet, version: 2, routes: { '10.0.0.0/8': '192.168.10.6', '172.31.0.0/16': '192.168.10.99' } };
    const carrier = place('blue-b');
    await carrier.run('ip', 'addr', 'add', '10.2.0.1/32', 'dev', 'lo');
    assert.match(await place('blue-a').ask('tcp', '10.2.0.1', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
    await world.network.define(carrying);
    assert.equal(await place('blue-a').ask('tcp', '10.2.0.1', 90), '192.168.10.5');
    const second = on(blueNet.id, '192.168.10.30', 1, false);
    const { place: machine, connection: former } = world.machines.get('plain')!;
    await world.network.setNics({ ...former, nics: [...former.nics!, second] }, machine.pid, null);
    assert.equal(await machine.ask('tcp', '10.2.0.1', 90), '192.168.10.30', 'also by a NIC that is not primary');
    await world.network.setNics(former, machine.pid, null);
    assert.match(await machine.ask('tcp', '10.2.0.1', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
    assert.match(await place('green-a').ask('tcp', '10.2.0.1', 90), /timeout|EHOSTUNREACH|ENETUNREACH/, 'another network has nothing to do with it');
    // The way out, and to the resolver, is what it was.
    assert.equal(await place('blue-a').ask('tcp', outsideAddress, 90), hostAddress);
    await using _relay = await Relay.open({ address: '10.80.0.1', port: 53, resolvConfPath, logger, mayAsk: () => true });
    assert.equal((await place('blue-a').run(process.execPath, '-e', resolveScript, '192.168.10.1')).trim(), 'ESERVFAIL');

    const listener = place('blue-a').follow(process.execPath, '-e', listenScript);
    await until(() => listener.lines.includes('ready'));
    const send = (from: string, mac: string, source: string, payload: string) =>
      place(from).sendFrame(
        udpFrame({
          sourceMac: macBytes(mac),
          destinationMac: macBytes('192.168.10.1'),
          source: addressBytes(source),
          destination: addressBytes('192.168.10.5'),
          port: 91,
          payload,
        }),
      );
    send('blue-b', '192.168.10.6', '10.99.0.9', 'carried');
    send('blue-b', '192.168.10.6', '11.0.0.9', 'not carried');
    send('blue-b', '192.168.10.6', '172.31.0.9', 'carried by another');
    send('blue-b', '192.168.10.6', '192.168.10.8', 'a machine beside');
    send('blue-b', '192.168.10.6', '192.168.10.6', 'itself');
    await until(() => listener.lines.includes('itself'));
    assert.deepEqual(listener.lines, ['ready', 'carried', 'itself']);

    const restart = (definition: NetworkDefinition) => world.restart([definition, greenNet, { ...closedNet, version: 3 }, islandNet]);
    await restart(carrying);
    assert.equal(await place('blue-a').ask('tcp', '10.2.0.1', 90), '192.168.10.5');
    await restart({ ...blueNet, version: 3, routes: { '10.3.0.0/16': '192.168.10.6' } });
    assert.match(await place('blue-a').ask('tcp', '10.2.0.1', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
    await world.network.define({ ...blueNet, version: 4, routes: { '10.2.0.1/32': '192.168.10.6' } });
    assert.equal(await place('blue-a').ask('tcp', '10.2.0.1', 90), '192.168.10.5');
    await world.network.define({ ...blueNet, version: 5 });
    assert.match(await place('blue-a').ask('tcp', '10.2.0.1', 90), /timeout|EHOSTUNREACH|ENETUNREACH/);
  });

  test('an address is free as soon as its machine is gone', async () => {
    const { connection: former } = world.machines.get('blue-b')!;
    await world.network.disconnect(former.slot);
    assert.match(await place('blue-a').ask('tcp', '192.168.10.6', 90), /EHOSTUNREACH|timeout/);
    const next = await world.settle(connection(20, 'blue-c', [on(blueNet.id, '192.168.10.6')]));
    await next.serve(90);
    assert.equal(await place('blue-a').ask('tcp', '192.168.10.6', 90), '192.168.10.5');
  });
});
