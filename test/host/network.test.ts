/** The network driver with real namespaces and real packets. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import { forwardingObstacles } from '../../src/host/network/obstacles.ts';
import { nicsOf } from '../../src/model/nics.ts';
import type { Connection, KeptConnection, Network } from '../../src/host/network/network.ts';
import { Relay } from '../../src/resolver/relay.ts';
import { macBytes } from '../../src/model/mac.ts';
import { addressBytes } from '../../src/model/address.ts';
import { macOf } from '../../src/model/mac.ts';
import { closeFd } from '../../src/sys/libc.ts';
import { createNetworkNamespace } from '../../src/sys/netns.ts';
import { Place, askFromHost, becomeHost, createOutside, hostAddress, outsideAddress, udpFrame, until } from './network-world.ts';

const subnet = '10.80.0.0/16';
const gateway = '10.80.0.1';
const otherSubnet = '10.81.0.0/16';
const logger = createLogger({ name: 'test', level: 'fatal' });
const directory = mkdtempSync(join(tmpdir(), 'cenote-network-'));
const resolvConfPath = join(directory, 'resolv.conf');
writeFileSync(resolvConfPath, 'nameserver 127.0.0.1\nsearch example.test\noptions ndots:5 edns0\n');

const open = (): Promise<Network> => openNetwork({ instance: 'one', instanceNumber: 1, subnet, logger, resolvConfPath });
const openRelay = (port: number): Promise<Relay> => Relay.open({ address: gateway, port, resolvConfPath, logger, mayAsk: () => true });
const openOther = (): Promise<Network> => openNetwork({ instance: 'two', instanceNumber: 11, subnet: otherSubnet, logger, resolvConfPath });
const counter = async (name: string): Promise<number> => Number(/packets (\d+)/.exec(await run('nft', ['list', 'counter', 'inet', 'cenote-one', name]))![1]);
const tcp = (hostPort: number, machinePort: number) => ({ protocol: 'tcp' as const, hostPort, machinePort });
const udp = (hostPort: number, machinePort: number) => ({ protocol: 'udp' as const, hostPort, machinePort });

const blue: Connection = { slot: 3, machine: 'blue', address: '10.80.0.5', publish: [tcp(8080, 80), udp(8080, 80)] };
const green: Connection = { slot: 4, machine: 'green', address: '10.80.0.6', publish: [] };
const foreign: Connection = { slot: 3, machine: 'foreign', address: '10.81.0.5', publish: [tcp(8181, 80)] };

const kept = (connection: Connection, machine: Place, ceilingMbps: number | null = null): KeptConnection => ({ ...connection, pid: machine.pid, ceilingMbps });

describe('network of one host', () => {
  let network: Network;
  let other: Network;
  const places = new AsyncDisposableStack();
  const place = async (kind: 'machine' | 'outside'): Promise<Place> => places.use(await Place.create(kind));
  let outside: Place;
  let blueMachine: Place;
  let greenMachine: Place;
  let foreignMachine: Place;

  const settle = async (target: Network, connection: Connection): Promise<Place> => {
    const machine = await place('machine');
    await target.prepare(connection.slot, machine.fd);
    await target.connect(connection, machine.fd);
    return machine;
  };

  before(async () => {
    await becomeHost();
    outside = places.use(await createOutside(subnet, otherSubnet));
    network = await open();
    other = await openOther();
    blueMachine = await settle(network, blue);
    greenMachine = await settle(network, green);
    foreignMachine = await settle(other, foreign);
    for (const server of [outside, blueMachine, greenMachine, foreignMachine]) await server.serve(80);
  });

  after(async () => {
    await places.disposeAsync();
    rmSync(directory, { recursive: true });
    for (const opened of [network, other]) await opened?.close({ remove: true });
  });

  test("a machine reaches the outside by the host's address", async () => {
    assert.equal(await blueMachine.ask('tcp', outsideAddress, 80), hostAddress);
    assert.equal(await blueMachine.ask('udp', outsideAddress, 80), hostAddress);
  });

  test('neighbours see each other by their own addresses', async () => {
    assert.equal(await blueMachine.ask('tcp', green.address, 80), blue.address);
    assert.equal(await greenMachine.ask('udp', blue.address, 80), green.address);
  });

  test('the host reaches a machine, and sees its counters move', async () => {
    const before = await network.traffic(green.slot);
    assert.equal(await askFromHost('tcp', green.address, 80), gateway);
    const now = await network.traffic(green.slot);
    assert.ok(now.receivedBytes > before.receivedBytes && now.sentBytes > before.sentBytes);
  });

  test('inside: an address of its own, a MAC made from it, no IPv6 but its own loopback', async () => {
    const link = await blueMachine.run('ip', '-br', 'link', 'show', 'eth0');
    assert.match(link, new RegExp(macOf(blue.address)));
    assert.match(await blueMachine.run('ip', '-br', 'address'), /lo\s+\w+\s+127\.0\.0\.1\/8 ::1\/128\s+eth0@\w+\s+UP\s+10\.80\.0\.5\/32\s*$/);
  });

  for (const protocol of ['tcp', 'udp'] as const) {
    test(`a published ${protocol} port answers from everywhere`, async () => {
      assert.equal(await outside.ask(protocol, hostAddress, 8080), outsideAddress, "from outside, with the peer's own address");
      assert.equal(await askFromHost(protocol, '127.0.0.1', 8080), gateway, 'from the host, by its loopback');
      assert.equal(await askFromHost(protocol, hostAddress, 8080), hostAddress, 'from the host, by its address');
      assert.equal(await greenMachine.ask(protocol, hostAddress, 8080), green.address, 'from a neighbour');
      assert.equal(await blueMachine.ask(protocol, hostAddress, 8080), gateway, 'from the machine itself');
    });
  }

  test('a published port may be taken back and given to another machine at once', async () => {
    await network.publish({ ...blue, publish: [udp(8080, 80)] });
    assert.equal(await outside.ask('tcp', hostAddress, 8080), 'ECONNREFUSED');
    await network.publish({ ...green, publish: [tcp(8080, 80)] });
    await assert.rejects(network.publish(blue), { code: 'in_use' });
    assert.equal(await outside.ask('tcp', hostAddress, 8080), outsideAddress);
    await network.publish(green);
    await network.publish(blue);
  });

  test('from outside nothing but published ports is reached', async () => {
    const seen = await counter('strangers');
    assert.equal(await outside.ask('tcp', blue.address, 80), 'timeout');
    assert.equal(await outside.ask('udp', gateway, 53), 'timeout');
    assert.ok((await counter('strangers')) >= seen + 2);
  });

  test("a packet from outside in a machine's name is dropped", async () => {
    const seen = await counter('spoofed');
    const mac = async (text: Promise<string>): Promise<Buffer> => Buffer.from(/link\/ether ([0-9a-f:]+)/.exec(await text)![1]!.replaceAll(':', ''), 'hex');
    const sourceMac = await mac(outside.run('ip', 'link', 'show', 'eth0'));
    const destinationMac = await mac(run('ip', ['link', 'show', 'up0']));
    outside.sendFrame(
      udpFrame({ sourceMac, destinationMac, source: addressBytes(green.address), destination: addressBytes(blue.address), port: 80, payload: 'x' }),
    );
    await until(async () => (await counter('spoofed')) === seen + 1);
  });

  test('a machine cannot speak in another name', async () => {
    const heard: string[] = [];
    const listener = createSocket('udp4').on('message', (message) => heard.push(String(message)));
    await new Promise<void>((resolve) => listener.bind(9001, '127.0.0.1', resolve));
    const own = {
      sourceMac: macBytes(blue.address),
      destinationMac: macBytes(gateway),
      source: addressBytes(blue.address),
      destination: addressBytes(outsideAddress),
      port: 80,
      payload: 'x',
    };
    const seen = await counter('spoofed');
    blueMachine.sendFrame(udpFrame({ ...own, source: addressBytes(green.address) }));
    blueMachine.sendFrame(udpFrame({ ...own, source: addressBytes(gateway) }));
    blueMachine.sendFrame(udpFrame({ ...own, source: addressBytes('127.0.0.1'), destination: addressBytes('127.0.0.1'), port: 9001 }));
    blueMachine.sendFrame(udpFrame({ ...own, sourceMac: macBytes(green.address) }));
    await until(async () => (await counter('spoofed')) === seen + 4);
    const refused = await counter('refused');
    blueMachine.sendFrame(udpFrame({ ...own, destination: addressBytes('127.0.0.1'), port: 9001 }));
    blueMachine.sendFrame(udpFrame({ ...own, destination: addressBytes('255.255.255.255'), port: 9001 }));
    await until(async () => (await counter('refused')) === refused + 2);
    assert.deepEqual(heard, []);
    listener.close();
    // Whatever is not IPv4: the link-local address and the packet are the machine's own doing.
    const before6 = await counter('spoofed');
    await greenMachine.run('ip', '-6', 'addr', 'add', 'fe80::2/64', 'dev', 'eth0', 'nodad');
    await greenMachine.run(process.execPath, '-e', "const u = require('node:dgram').createSocket('udp6'); u.send('x', 9, 'ff02::1%eth0', () => u.close())");
    await until(async () => (await counter('spoofed')) > before6);
    await greenMachine.run('ip', '-6', 'addr', 'flush', 'dev', 'eth0');
  });

  test('a machine reaches no service of the host, but may ping the gateway', async () => {
    const server = createServer((socket) => socket.end('host')).listen(9000, '0.0.0.0');
    await new Promise((resolve) => server.once('listening', resolve));
    assert.equal(await askFromHost('tcp', hostAddress, 9000), 'host');
    for (const address of [hostAddress, gateway]) assert.match(await blueMachine.ask('tcp', address, 9000), /^(EHOSTUNREACH|ECONNREFUSED|timeout)$/);
    await new Promise((resolve) => server.close(resolve));
    await blueMachine.run('ping', '-c1', '-W2', gateway);
  });

  test('machines of another instance are strangers, but for their published ports', async () => {
    assert.equal(await blueMachine.ask('tcp', foreign.address, 80), 'timeout');
    assert.equal(await blueMachine.ask('tcp', '10.81.0.1', 53), 'timeout');
    assert.equal(await blueMachine.ask('tcp', hostAddress, 8181), hostAddress);
  });

  test('what is taken cannot be published, and the port is named', async () => {
    const listener = createServer().listen(9002, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    const nics = nicsOf({ address: '10.80.0.9' });
    const check = network.checkPublish([tcp(9003, 80), tcp(9002, 80)], nics);
    await assert.rejects(
      check,
      (error) => error instanceof CenoteError && error.code === 'in_use' && /tcp port 9002/.test(error.message) && error.fields[0]!.field === 'publish[1]',
    );
    await new Promise((resolve) => listener.close(resolve));
    await assert.rejects(network.checkPublish([tcp(8181, 80)], nics), /tcp port 8181 .*another instance/);
    await network.checkPublish([tcp(9002, 80), udp(9002, 80)], nics);
  });

  test("names resolve by the host's own resolver, over UDP and, when the answer is long, TCP", async () => {
    await using servers = new AsyncDisposableStack();
    const answer = (query: Buffer, truncated: boolean): Buffer => {
      const question = query.subarray(0, query.indexOf(0, 12) + 5);
      const reply = Buffer.concat([question, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 203, 0, 113, 7])]);
      reply.writeUInt16BE(truncated ? 0x8380 : 0x8180, 2);
      reply.writeUInt16BE(1, 6);
      reply.writeUInt32BE(0, 8);
      return truncated ? Buffer.concat([Buffer.from(reply.subarray(0, 6)), Buffer.alloc(6), question.subarray(12)]) : reply;
    };
    const datagrams = createSocket('udp4');
    datagrams.on('message', (query, from) => datagrams.send(answer(query, query.includes('long')), from.port, from.address));
    await new Promise<void>((resolve) => datagrams.bind(53, '127.0.0.1', resolve));
    servers.defer(() => void datagrams.close());
    const streams = createServer((socket) =>
      socket.on('data', (data: Buffer) => {
        const reply = answer(data.subarray(2), false);
        socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
      }),
    );
    await new Promise<void>((resolve) => streams.listen(53, '127.0.0.1', resolve));
    servers.defer(() => void streams.close());
    servers.use(await openRelay(53));
    for (const name of ['short.test', 'long.test']) {
      const script = `const { Resolver } = require('node:dns').promises; const r = new Resolver({ timeout: 1500, tries: 1 }); r.setServers(['${gateway}']); r.resolve4('${name}').then((a) => console.log(a.join()), (e) => console.log(e.code))`;
      assert.equal((await blueMachine.run(process.execPath, '-e', script)).trim(), '203.0.113.7');
    }
    assert.equal(network.resolvConf([]), `nameserver ${gateway}\nsearch example.test\noptions ndots:1 edns0\n`);
  });

  test('where a program of the host has port 53 of all addresses, machines are led to another port', async () => {
    for (const opened of [network, other]) await opened.close({ remove: false });
    await using held = new AsyncDisposableStack();
    const server = createSocket('udp4').on('message', (query, from) => {
      const reply = Buffer.from(query);
      reply.writeUInt16BE(0x8183, 2);
      server.send(reply, from.port, from.address);
    });
    await new Promise<void>((resolve) => server.bind(53, '0.0.0.0', resolve));
    held.defer(() => void server.close());
    network = await open();
    other = await openOther();
    await network.restore([kept(blue, blueMachine), kept(green, greenMachine)], []);
    await other.restore([kept(foreign, foreignMachine)], []);
    const relay = held.use(await openRelay(0));
    network.resolverAt(relay.port);
    const script = `const { Resolver } = require('node:dns').promises; const r = new Resolver({ timeout: 1500, tries: 1 }); r.setServers(['${gateway}']); r.resolve4('a.test').catch((e) => console.log(e.code))`;
    assert.equal((await blueMachine.run(process.execPath, '-e', script)).trim(), 'ENOTFOUND');
  });

  test('another firewall that drops what is forwarded is named', async () => {
    assert.deepEqual(await forwardingObstacles(), []);
    await run('nft', [
      'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; add chain ip filter DOCKER-USER',
    ]);
    assert.match((await forwardingObstacles()).join(), /^Docker drops/);
    await run('nft', ['add rule ip filter DOCKER-USER iifname "cn*" counter accept; add rule ip filter DOCKER-USER oifname "cn*" counter accept']);
    assert.deepEqual(await forwardingObstacles(), []);
    await run('nft', ['delete table ip filter']);
  });

  test("a machine that gets a used address gets nothing of its predecessor's flows", async () => {
    const first: Connection = { slot: 20, machine: 'first', address: '10.80.1.1', publish: [udp(8300, 80)] };
    const second: Connection = { slot: 21, machine: 'second', address: '10.80.1.1', publish: [] };
    const firstMachine = await settle(network, first);
    await firstMachine.serve(80);
    // One client, one flow, from one port: it goes on sending whatever happens.
    const script = `const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => process.stdout.write('heard ')); u.on('error', () => {}); u.bind(7000, () => { let n = 0; setInterval(() => { u.send('x', 8300, '${hostAddress}'); if (++n > 150) process.exit(); }, 10); })`;
    const client = outside.run(process.execPath, '-e', script);
    await until(async () => (await network.traffic(20)).sentBytes > 100);
    await network.disconnect(20);
    const secondMachine = await settle(network, second);
    const { receivedBytes } = await network.traffic(21);
    await client;
    assert.equal((await network.traffic(21)).receivedBytes, receivedBytes);
    assert.equal(await secondMachine.ask('tcp', outsideAddress, 80), hostAddress);
    await network.disconnect(21);
  });

  test('a client that already sends to a udp port reaches the machine once the port is published', async () => {
    const script = `const u = require('node:dgram').createSocket('udp4'); u.on('message', () => { console.log('heard'); process.exit(); }); u.bind(7001, () => { console.log('sending'); let n = 0; setInterval(() => { u.send('x', 8400, '${hostAddress}'); if (++n > 500) process.exit(); }, 10); })`;
    const client = outside.run(process.execPath, '-e', script);
    await sleep(300);
    await network.publish({ ...green, publish: [udp(8400, 80)] });
    assert.match(await client, /heard/);
    await network.publish(green);
  });

  test('after a crash all that runs is kept without losing a packet, and nothing else is', async () => {
    const stray = await settle(network, { slot: 30, machine: 'stray', address: '10.80.2.1', publish: [tcp(8500, 80)] });
    for (const slot of [31, 32]) await network.prepare(slot, (await place('machine')).fd);
    const spare = await place('machine');
    await network.prepare(33, spare.fd);
    // A connection that was made but not recorded: the slot is still a prepared one for the agent.
    await network.connect({ slot: 33, machine: 'forgotten', address: '10.80.2.3', publish: [] }, spare.fd);
    let sent = 0;
    const answers = new Set<string>();
    const socket = createSocket('udp4').on('message', (message) => answers.add(String(message).split(' ')[1]!));
    await new Promise<void>((resolve) => socket.connect(8080, hostAddress, resolve));
    // No more than the server's queue takes while it has not the processor.
    const sending = setInterval(() => sent - answers.size < 100 && socket.send(String(sent++)), 1);
    const restarted = async (): Promise<void> => {
      await network.close({ remove: false });
      network = await open();
      await network.restore([kept(blue, blueMachine), kept(green, greenMachine)], [31, 33]);
    };
    for (let round = 0; round < 3; round++) {
      await sleep(20);
      await restarted();
    }
    await sleep(20);
    clearInterval(sending);
    await until(() => answers.size === sent);
    socket.close();
    assert.ok(sent > 10, `only ${sent} packets were sent`);
    const links = () => run('ip', ['-br', 'link', 'show', 'type', 'veth']);
    await until(async () => !/cn1v(30|32)@/.test(await links()));
    assert.deepEqual((await links()).match(/cn1v\d+/g)!.sort(), ['cn1v3', 'cn1v31', 'cn1v33', 'cn1v4']);
    assert.match(await links(), /cn11v3@/, 'another instance keeps its links');
    assert.doesNotMatch(await run('ip', ['route']), /10\.80\.2\./);
    assert.match(await stray.ask('tcp', green.address, 80), /^(ENETUNREACH|EHOSTUNREACH|timeout)$/);
    assert.equal(await blueMachine.ask('tcp', green.address, 80), blue.address);
    // A slot whose link was in the way is prepared anew.
    await network.connect({ slot: 33, machine: 'again', address: '10.80.2.4', publish: [tcp(8500, 80)] }, spare.fd);
    await spare.serve(80);
    assert.equal(await outside.ask('tcp', hostAddress, 8500), outsideAddress);
    for (const slot of [31, 33]) await network.disconnect(slot);
  });

  test('bad input is refused before anything changes', async () => {
    const machine = await place('machine');
    const before = await run('nft', ['list', 'ruleset']);
    await assert.rejects(network.prepare(-1, machine.fd), { code: 'invalid_argument' });
    for (const address of ['10.81.0.9', gateway, '10.80.0.0', '10.80.255.255', '10.80.0.5; flush ruleset', '::1', '']) {
      await assert.rejects(network.connect({ ...green, slot: 50, address }, machine.fd), { code: 'invalid_argument' });
    }
    await assert.rejects(network.connect({ ...green, slot: 50, address: '10.80.9.9' }, machine.fd), { code: 'wrong_state' });
    await network.prepare(50, machine.fd);
    await assert.rejects(network.connect({ ...blue, slot: 50, address: '10.80.9.9' }, machine.fd), { code: 'in_use' });
    await assert.rejects(network.connect({ ...green, slot: 50 }, machine.fd), /address 10\.80\.0\.6 is in use/);
    assert.equal(await blueMachine.ask('tcp', green.address, 80), blue.address);
    assert.equal((await run('nft', ['list', 'ruleset'])).replace(/packets.*/g, ''), before.replace(/packets.*/g, ''));
    assert.doesNotMatch(await run('ip', ['route']), /10\.80\.9\.9/);
    await network.disconnect(50);
    assert.equal(await outside.ask('tcp', hostAddress, 8080), outsideAddress);
  });

  test('twelve hundred machines are connected and reached', async () => {
    const namespaces = Array.from({ length: 1200 }, () => createNetworkNamespace());
    const addressOf = (index: number): string => `10.80.${16 + (index >> 8)}.${index & 255}`;
    try {
      for (const [index, fd] of namespaces.entries()) {
        await network.prepare(1000 + index, fd);
        await network.connect({ slot: 1000 + index, machine: `m${index}`, address: addressOf(index), publish: [tcp(20_000 + index, 80)] }, fd);
      }
      // Nothing listens there: the refusal is the machine's own answer.
      for (const index of namespaces.keys()) assert.equal(await askFromHost('tcp', addressOf(index), 80), 'ECONNREFUSED');
      for (const index of [0, 1023, 1024, 1199]) assert.equal(await outside.ask('tcp', hostAddress, 20_000 + index), 'ECONNREFUSED');
      for (const index of namespaces.keys()) await network.disconnect(1000 + index);
      await until(async () => !/cn1v\d{4}@/.test(await run('ip', ['-br', 'link', 'show', 'type', 'veth'])));
    } finally {
      for (const fd of namespaces) closeFd(fd);
    }
  });

  test('a slot is prepared again right after it was given up', async () => {
    for (let round = 0; round < 3; round++) {
      await using machine = await Place.create('machine');
      await network.prepare(60, machine.fd);
      await network.connect({ slot: 60, machine: `round ${round}`, address: '10.80.3.1', publish: [] }, machine.fd);
      assert.match(await askFromHost('tcp', '10.80.3.1', 1), /ECONNREFUSED/);
      await network.disconnect(60);
    }
  });

  test('taking an instance away leaves nothing of it', async () => {
    await other.close({ remove: true });
    assert.doesNotMatch(await run('nft', ['list', 'tables']), /cenote-two/);
    const [links, routes, addresses] = await Promise.all([run('ip', ['link']), run('ip', ['route']), run('ip', ['address'])]);
    assert.doesNotMatch(`${links}${routes}${addresses}`, /cn11v|10\.81\./);
    assert.match(await run('nft', ['list', 'tables']), /cenote-one/);
    assert.equal(await blueMachine.ask('tcp', green.address, 80), blue.address);
    other = await openOther();
  });
});
