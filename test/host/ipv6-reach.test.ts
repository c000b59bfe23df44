/** How machines are reached by IPv6, and what they are guaranteed of the uplink there: published ports and classes, with real packets at the driver. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Network } from '../../src/host/network/network.ts';
import { backboneAddress, backboneOf } from '../../src/model/backbone.ts';
import type { PublishedPort } from '../../src/model/machine.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { DriverWorld, connection, define, driverFiles, logger, on, subnet, unreached } from './driver-world.ts';
import { askFromHost, becomeHost, createOutside, hostAddress, outsideAddress } from './network-world.ts';
import type { Place } from './network-world.ts';

const { instance, resolvConfPath, tidy } = driverFiles('reach');
const instanceNumber = 6;
const backbone = backboneOf(instanceNumber);
const device = 'up0';
const open = (): Promise<Network> =>
  openNetwork({ instance, instanceNumber, subnet, logger, resolvConfPath, routerLingerMs: 20, uplinks: { devices: [device], lookMs: 50, capacityMbps: 100 } });
const [hostSix, outsideSix] = ['2001:db8::1', '2001:db8::2'] as const;
const blueNet = define(1, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
const greenNet = define(2, 'green', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
const publicNet = define(3, null, { subnet: '2001:db8:5::/64', gateway: '2001:db8:5::1', isPublic: true, mtu: 1500 });
const plainNet = define(4, 'blue');
const networks = [blueNet, greenNet, publicNet, plainNet];
const both = (hostPort: number): PublishedPort[] => (['tcp', 'udp'] as const).map((protocol) => ({ protocol, hostPort, machinePort: 90 }));
const forward = (value: '0' | '1'): void => writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', value);
const blueUplink = backboneAddress(backbone, blueNet.uplink);

/** By class: its rate. */
const classes = async (): Promise<Record<string, string>> => {
  const found = (await run('tc', ['class', 'show', 'dev', device])).matchAll(/^class htb ce06:(\S+) .*rate (\S+) /gm);
  return Object.fromEntries(Array.from(found, ([, minor, rate]) => [minor!, rate!]));
};
const sentBy = async (minor: string): Promise<number> =>
  Number(new RegExp(`^class htb ce06:${minor} .*\\n Sent (\\d+) bytes`, 'm').exec(await run('tc', ['-s', 'class', 'show', 'dev', device]))![1]);

describe('reached by IPv6', () => {
  const world = new DriverWorld(open);
  let outside: Place;
  const place = (name: string): Place => world.place(name);

  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside());
    await run('ip', ['addr', 'add', `${hostSix}/64`, 'dev', device, 'nodad']);
    await outside.run('ip', 'addr', 'add', `${outsideSix}/64`, 'dev', 'eth0', 'nodad');
    for (const cidr of [backbone.cidr, publicNet.subnet]) await outside.run('ip', 'route', 'add', cidr, 'via', hostSix);
    await outside.serve(91, '::');
    forward('1');
    await world.open(networks);
    await world.settle({ ...connection(1, 'six', [on(blueNet.id, 'fd00:10::5')], both(8081)), guaranteeMbps: 10 });
    await world.settle({ ...connection(2, 'beside', [on(blueNet.id, 'fd00:10::6')]), guaranteeMbps: 5 });
    await world.settle(connection(3, 'stranger', [on(greenNet.id, 'fd00:10::5')], both(8082)));
    await world.settle({
      ...connection(4, 'two', [on(externalNetwork, '10.80.0.5'), on(blueNet.id, 'fd00:10::7', 1, false)], both(8083)),
      guaranteeMbps: 20,
    });
    await world.settle({ ...connection(5, 'seen', [on(publicNet.id, '2001:db8:5::5')], both(8084)), guaranteeMbps: 7 });
    for (const name of ['six', 'beside', 'stranger', 'two', 'seen']) await place(name).serve(90, '::');
    await place('two').serve(90);
  });

  after(async () => {
    await world.network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    assert.doesNotMatch(await run('tc', ['qdisc', 'show', 'dev', device]), /htb/);
    await world[Symbol.asyncDispose]();
    tidy();
  });

  test('published ports are reached at the host’s addresses of IPv6, and senders are seen as they are', async () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      for (const port of [8081, 8082, 8083, 8084]) assert.equal(await outside.ask(protocol, hostSix, port), outsideSix, `${protocol} ${port}`);
      assert.match(await outside.ask(protocol, hostSix, 8085), unreached);
      assert.match(await outside.ask(protocol, blueUplink, 8081), unreached, 'not by what stands for the network inside');
      // A machine has its family's alone.
      assert.match(await outside.ask(protocol, hostAddress, 8081), unreached);
      assert.equal(await outside.ask(protocol, hostAddress, 8083), outsideAddress);
    }
  });

  test('the host itself, other networks and the same one reach them too', async () => {
    assert.equal(await askFromHost('tcp', hostSix, 8081), hostSix);
    assert.equal(await askFromHost('tcp', '::1', 8081), 'ECONNREFUSED', 'the kernel leads nothing out from there');
    assert.equal(await place('stranger').ask('tcp', hostSix, 8081), backboneAddress(backbone, greenNet.uplink));
    assert.equal(await place('seen').ask('tcp', hostSix, 8081), '2001:db8:5::5');
    assert.equal(await place('beside').ask('tcp', hostSix, 8081), backbone.gateway, 'round by the host');
    assert.equal(await place('six').ask('udp', hostSix, 8081), backbone.gateway, 'itself');
  });

  test('they come and go while the machine runs, in both families at once, and with their NICs', async () => {
    const { connection: two } = world.machines.get('two')!;
    await world.network.publish({ ...two, publish: both(8090) });
    assert.match(await outside.ask('tcp', hostSix, 8083), unreached);
    assert.equal(await outside.ask('tcp', hostSix, 8090), outsideSix);
    assert.equal(await outside.ask('tcp', hostAddress, 8090), outsideAddress);
    await assert.rejects(world.network.publish({ ...two, publish: [...both(8090), ...both(8082)] }), { code: 'in_use' });
    assert.equal(await outside.ask('tcp', hostAddress, 8090), outsideAddress, 'as before');
    assert.match(await outside.ask('tcp', hostAddress, 8082), unreached);
    await world.network.publish(two);

    const pid = place('two').pid;
    await world.network.setNics({ ...two, nics: [two.nics![0]!] }, pid, null);
    assert.match(await outside.ask('tcp', hostSix, 8083), unreached);
    await world.network.setNics({ ...two, nics: [two.nics![0]!, on(publicNet.id, '2001:db8:5::7', 2, false)] }, pid, null);
    assert.equal(await outside.ask('tcp', hostSix, 8083), outsideSix);
    const turned = [
      { ...two.nics![0]!, primary: false },
      { ...on(publicNet.id, '2001:db8:5::7', 2), primary: true },
    ];
    await world.network.setNics({ ...two, address: '2001:db8:5::7', nics: turned }, pid, null);
    assert.equal(await outside.ask('tcp', hostSix, 8083), outsideSix);
    assert.equal(await outside.ask('tcp', hostAddress, 8083), outsideAddress);
    await world.network.setNics(two, pid, null);
    assert.equal(await outside.ask('tcp', hostSix, 8083), outsideSix);
  });

  test('guarantees hold for what is sent by IPv6 where that is the primary network', async () => {
    const wanted = { '1': '100Mbit', ffff: '2500Kbit', '65': '15Mbit', '66': '8bit', '67': '7Mbit', '5': '20Mbit' };
    const { 66: none, ...found } = await classes();
    const { 66: _, ...others } = wanted;
    assert.deepEqual(found, others, `beside ${none}`);
    for (const [name, minor] of [
      ['six', '65'],
      ['seen', '67'],
    ] as const) {
      const before = await sentBy(minor);
      assert.equal(await place(name).ask('tcp', outsideSix, 91), name === 'seen' ? '2001:db8:5::5' : hostSix);
      assert.ok((await sentBy(minor)) > before, name);
    }
    const before = await sentBy('65');
    await outside.ask('tcp', hostSix, 8081);
    assert.ok((await sentBy('65')) > before, 'answers by a published port');
    await world.network.guarantee(1, 30);
    assert.equal((await classes())['65'], '35Mbit');
    await world.network.guarantee(1, 10);
    await world.restart(networks);
    const { 66: again, ...restored } = await classes();
    assert.deepEqual(restored, others, `beside ${again}`);
    assert.equal(await outside.ask('tcp', hostSix, 8083), outsideSix);
  });

  test('who asks where the host sends nothing on is refused, and not left without an answer', async () => {
    forward('0');
    await world.restart(networks);
    assert.match(await outside.ask('tcp', hostSix, 8081), /ECONNREFUSED/);
    assert.equal(await outside.ask('tcp', hostAddress, 8083), outsideAddress);
    assert.equal(await askFromHost('tcp', hostSix, 8081), hostSix);
    const [six, two] = ['six', 'two'].map((name) => world.machines.get(name)!.connection.nics!);
    assert.throws(() => world.network.demandReached(both(8099), six!), { code: 'unsupported', message: /this host sends no IPv6 on/ });
    world.network.demandReached(both(8099), two!);
    world.network.demandReached([], six!);
    // Sent on from now on, it is so with the next router, or the next agent.
    forward('1');
    await world.settle(connection(9, 'four', [on(plainNet.id, '192.168.10.5'), on(blueNet.id, 'fd00:10::9', 1, false)]));
    await world.restart(networks);
    assert.equal(await outside.ask('tcp', hostSix, 8081), outsideSix);
  });

  test('a port at which a program of the host listens by IPv6 alone is refused to who has it', async () => {
    const [six, two, plain] = [world.machines.get('six')!.connection.nics!, world.machines.get('two')!.connection.nics!, [on(plainNet.id, '192.168.10.6')]];
    const program = createServer();
    await new Promise<void>((resolve) => program.listen({ port: 8070, host: '::', ipv6Only: true }, resolve));
    for (const nics of [six, two]) await assert.rejects(world.network.checkPublish(both(8070), nics), { code: 'in_use' });
    await world.network.checkPublish(both(8070), plain);
    await new Promise((resolve) => program.close(resolve));
    await world.network.checkPublish(both(8070), six);
    // Its own, as it is at each start.
    await world.network.checkPublish(both(8081), six);
  });
});
