/** Floating addresses with real namespaces and real packets, at the driver: reached, seen, and moved between machines wherever those are. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import { macBytes } from '../../src/model/mac.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { addressBytes } from '../../src/model/address.ts';
import { DriverWorld, connection, define, driverFiles, logger, on, subnet, unreached } from './driver-world.ts';
import { askFromHost, becomeHost, createOutside, hostAddress, outsideAddress, udpFrame, until } from './network-world.ts';
import type { Place } from './network-world.ts';

const floating = '203.0.113.7';
const other = '203.0.113.8';
const { instance, resolvConfPath, tidy } = driverFiles('floating');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 5, subnet, logger, resolvConfPath, routerLingerMs: 20 });

const [blue, green, dmz] = [define(1, 'blue'), define(2, 'green'), define(3, null, { subnet: '10.99.0.0/24', gateway: '10.99.0.1' })] as const;

/** Says who it is, on TCP and, to each datagram, on UDP. */
const nameScript = `
  const name = process.argv[1];
  require('node:net').createServer((s) => { s.on('error', () => {}); s.end(name); }).listen(91, '0.0.0.0', () => {
    const u = require('node:dgram').createSocket('udp4');
    u.on('message', (m, from) => u.send(name + ' ' + m, from.port, from.address));
    u.bind(91, '0.0.0.0', () => console.log('ready'));
  });`;

describe('floating addresses', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const settle = async (made: Connection): Promise<Place> => {
    const place = await world.settle(made);
    await place.serve(90);
    const server = place.follow(process.execPath, '-e', nameScript, made.machine);
    await until(() => server.lines.includes('ready'));
    return place;
  };
  const place = (name: string): Place => world.place(name);
  const networks = [blue, green, dmz];
  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside(subnet, '203.0.113.0/24'));
    await run('ip', ['route', 'add', 'default', 'via', outsideAddress]);
    await outside.serve(90);
    await world.open(networks);
    await settle(connection(1, 'plain-a', [on(externalNetwork, '10.80.0.5')]));
    await settle(connection(2, 'plain-b', [on(externalNetwork, '10.80.0.6')]));
    await settle(connection(3, 'blue-a', [on(blue.id, '192.168.10.5')]));
    await settle(connection(4, 'blue-b', [on(blue.id, '192.168.10.6')]));
    await settle(connection(5, 'green-a', [on(green.id, '192.168.10.5')]));
    await settle(connection(6, 'dmz-a', [on(dmz.id, '10.99.0.5')]));
  });

  after(async () => {
    await world.network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    assert.doesNotMatch(await run('ip', ['route']), /203\.0\.113/);
    await world[Symbol.asyncDispose]();
    tidy();
  });

  const all = ['plain-a', 'blue-a', 'blue-b', 'green-a', 'plain-b', 'dmz-a'] as const;

  test('each is reached under it, by everybody, and is seen outside as it', async () => {
    assert.match(await outside.ask('tcp', floating, 91), unreached);
    for (const name of all) {
      await world.network.float(floating, name);
      assert.equal(await outside.ask('tcp', floating, 91), name);
      assert.equal(await outside.ask('udp', floating, 91), name);
      assert.equal(await outside.ask('tcp', floating, 90), outsideAddress, `${name} sees who asks`);
      assert.equal(await askFromHost('tcp', floating, 91), name);
      for (const from of all) assert.equal(await place(from).ask('tcp', floating, 91), name, `from ${from}`);
      for (const from of all) assert.equal(await place(from).ask('udp', outsideAddress, 90), from === name ? floating : hostAddress, from);
    }
    await world.network.float(floating, null);
    assert.match(await outside.ask('tcp', floating, 91), unreached);
    assert.equal(await place('dmz-a').ask('tcp', outsideAddress, 90), hostAddress);
    assert.doesNotMatch(await run('ip', ['route']), new RegExp(floating));
  });

  test('moved to and fro, it is always somebody’s', async () => {
    await world.network.float(floating, 'plain-a');
    // One that is on its way is asked again by TCP, after a second, and after two more where that was just then too. Who was let in by the former
    // one and not answered yet is cut off from it, and asks anew.
    const asker = outside.follow(
      process.execPath,
      '-e',
      `const { connect } = require('node:net');
      const ask = () => { const s = connect(91, '${floating}'); const t = setTimeout(() => { console.log(s.connecting ? 'late' : 'cut'); s.destroy(); ask(); }, 5000);
        s.on('data', (d) => { console.log(String(d)); clearTimeout(t); s.destroy(); setTimeout(ask, 1); }); s.on('error', (e) => { console.log(e.code); clearTimeout(t); setTimeout(ask, 1); }); };
      ask();`,
    );
    await until(() => asker.lines.length > 20);
    for (let round = 0; round < 4; round++)
      for (const name of all) {
        await world.network.float(floating, name);
        const seen = asker.lines.length;
        await until(() => asker.lines.slice(seen).includes(name));
      }
    const wrong = asker.lines.filter((line) => !(all as readonly string[]).includes(line));
    assert.deepEqual(
      wrong.filter((line) => line !== 'ECONNRESET' && line !== 'cut'),
      [],
      'nobody asked in vain',
    );
    await world.network.float(floating, null);
  });

  test('what was under way with the former one does not go on with the next', async () => {
    await world.network.float(floating, 'blue-a');
    const talker = outside.follow(
      process.execPath,
      '-e',
      `const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => console.log(String(m).split(' ')[0])); u.connect(91, '${floating}', () => setInterval(() => u.send('x'), 5));`,
    );
    await until(() => talker.lines.includes('blue-a'));
    for (const name of ['blue-b', 'plain-a', 'green-a', 'plain-b', 'blue-a']) {
      await world.network.float(floating, name);
      await until(() => talker.lines.at(-1) === name);
      const seen = talker.lines.length;
      await until(() => talker.lines.length > seen + 10);
      assert.deepEqual([...new Set(talker.lines.slice(seen))], [name]);
    }
    await world.network.float(floating, null);
  });

  test('the firewall is the machine’s; nobody else speaks under it', async () => {
    await world.network.float(floating, 'blue-a');
    const machine = { id: blue.id, account: 'blue', address: '192.168.10.5', nics: [on(blue.id, '192.168.10.5')], tags: {}, firewall: true };
    await world.network.firewall.restore([], [machine]);
    assert.equal(await outside.ask('tcp', floating, 91), 'timeout');
    await world.network.firewall.changeRules(
      [{ id: 'r', account: 'blue', rule: parseRule(`FROM ip ${outsideAddress} TO all vms ALLOW tcp PORT 91`), log: false }],
      [],
    );
    assert.equal(await outside.ask('tcp', floating, 91), 'blue-a');
    assert.equal(await place('plain-a').ask('tcp', floating, 91), 'timeout');
    await world.network.firewall.restore([], []);
    const listener = outside.follow(
      process.execPath,
      '-e',
      "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => console.log(String(m))); u.bind(92, () => console.log('ready'))",
    );
    await until(() => listener.lines.includes('ready'));
    for (const [from, mac, router] of [
      ['blue-b', '192.168.10.6', '192.168.10.1'],
      ['plain-a', '10.80.0.5', '10.80.0.1'],
      ['green-a', '192.168.10.5', '192.168.10.1'],
    ] as const)
      place(from).sendFrame(
        udpFrame({
          sourceMac: macBytes(mac),
          destinationMac: macBytes(router),
          source: addressBytes(floating),
          destination: addressBytes(outsideAddress),
          port: 92,
          payload: from,
        }),
      );
    await place('blue-a').run(
      process.execPath,
      '-e',
      `const u = require('node:dgram').createSocket('udp4'); u.send('itself', 92, '${outsideAddress}', () => u.close())`,
    );
    await until(() => listener.lines.includes('itself'));
    assert.deepEqual(listener.lines, ['ready', 'itself']);
    await world.network.float(floating, null);
  });

  test('it waits for its machine, follows its primary NIC, and stays while the agent is restarted', async () => {
    await world.network.float(floating, 'plain-a');
    await world.network.float(other, 'plain-a');
    assert.deepEqual([await outside.ask('tcp', floating, 91), await outside.ask('tcp', other, 91)], ['plain-a', 'plain-a']);
    assert.equal(await place('plain-a').ask('tcp', outsideAddress, 90), floating, 'the first of several is how it is seen');
    await world.network.float(floating, 'blue-a');
    assert.equal(await place('plain-a').ask('tcp', outsideAddress, 90), other);
    const server = place('blue-a').follow(process.execPath, '-e', "require('node:net').createServer((s) => s.pipe(s)).listen(93, () => console.log('ready'))");
    await until(() => server.lines.includes('ready'));
    const talker = outside.follow(
      process.execPath,
      '-e',
      `const s = require('node:net').connect(93, '${floating}'); let n = 0; s.on('data', () => { console.log(++n); setTimeout(() => s.write('x'), 5); }); s.on('close', () => console.log('closed')); s.on('connect', () => s.write('x'));`,
    );
    await until(() => talker.lines.length > 5);
    await world.network.close({ remove: false });
    await world.open(networks);
    await world.network.float(floating, 'blue-a');
    await world.network.float(other, 'plain-a');
    await world.network.restore(world.kept(), []);
    const seen = talker.lines.length;
    await until(() => talker.lines.length > seen + 20);
    assert.ok(!talker.lines.includes('closed'));
    assert.deepEqual([await outside.ask('tcp', floating, 91), await outside.ask('tcp', other, 91)], ['blue-a', 'plain-a']);

    const { place: machine, connection: former } = world.machines.get('plain-a')!;
    const turned: Connection = { ...former, address: '192.168.10.20', nics: [on(externalNetwork, '10.80.0.5', 0, false), on(green.id, '192.168.10.20', 1)] };
    await world.network.setNics(turned, machine.pid, null);
    assert.equal(await outside.ask('tcp', other, 91), 'plain-a');
    assert.equal(await machine.ask('tcp', outsideAddress, 90), other);
    await world.network.setNics({ ...turned, nics: [on(green.id, '192.168.10.20', 1)] }, machine.pid, null);
    assert.equal(await outside.ask('tcp', other, 91), 'plain-a');
    await world.network.setNics({ ...former, nics: [on(externalNetwork, '10.80.0.5')] }, machine.pid, null);
    assert.equal(await outside.ask('tcp', other, 91), 'plain-a');

    await world.network.disconnect(3);
    assert.match(await outside.ask('tcp', floating, 91), unreached);
    await world.network.float(other, 'later');
    assert.match(await outside.ask('tcp', other, 91), unreached);
    await settle(connection(9, 'later', [on(green.id, '192.168.10.30')]));
    assert.equal(await outside.ask('tcp', other, 91), 'later');
    await world.network.float(floating, 'later');
    assert.equal(await outside.ask('tcp', floating, 91), 'later');
    await world.network.disconnect(9);
    assert.match(await outside.ask('tcp', other, 91), unreached);
  });
});
