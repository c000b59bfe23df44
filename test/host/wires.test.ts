/** Public networks on a wire, with real namespaces and real packets, at the driver: ARP answered, and what leaves leaves by the gateway there. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { run, runAny } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { Wires } from '../../src/host/network/wires.ts';
import { addressBytes } from '../../src/model/address.ts';
import { wiredOf } from '../../src/model/network.ts';
import type { NetworkDefinition } from '../../src/model/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { checked, declare } from '../../src/sys/libc.ts';
import { DriverWorld, connection, define, driverFiles, logger, on, subnet, unreached } from './driver-world.ts';
import { Place, askFromHost, becomeHost, createOutside, outsideAddress, udpFrame, until } from './network-world.ts';

const gateway = '203.0.113.1';
const neighbour = '203.0.113.77';
/** Of somebody behind the gateway. */
const beyond = '192.0.2.10';
const { instance, resolvConfPath, tidy } = driverFiles('wires');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 4, subnet, logger, resolvConfPath, routerLingerMs: 20, wireLookMs: 20 });

const macOf = (link: string): string => /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(link)![0];
const macBytesOf = (link: string): Buffer => Buffer.from(macOf(link).replaceAll(':', ''), 'hex');

const wired = (more: Partial<NetworkDefinition>): NetworkDefinition =>
  define(2, null, { subnet: '203.0.113.0/24', gateway, mtu: 1500, isPublic: true, device: 'eth1', ...more });
const fabric = define(3, 'blue', {});

/** As a provider has it: a gateway with the world behind it, and another customer on the same wire. */
const createWire = async (world: AsyncDisposableStack, tag: number | undefined): Promise<{ router: Place; other: Place; link: string }> => {
  const [router, other] = [world.use(await Place.create('outside')), world.use(await Place.create('outside'))];
  await run('ip', ['link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(router.pid)]);
  await run('ip', ['link', 'set', 'eth1', 'up']);
  const link = tag === undefined ? 'eth0' : 'tagged';
  for (const one of ['lo', 'eth0']) await router.run('ip', 'link', 'set', one, 'up');
  if (tag !== undefined) await router.run('ip', 'link', 'add', 'link', 'eth0', 'name', link, 'up', 'type', 'vlan', 'id', String(tag));
  await router.run('ip', 'addr', 'add', `${gateway}/24`, 'dev', link);
  await router.run('ip', 'addr', 'add', `${beyond}/32`, 'dev', 'lo');
  await router.run('ip', 'link', 'add', 'link', link, 'name', 'beside', 'type', 'macvlan', 'mode', 'bridge');
  await router.run('ip', 'link', 'set', 'beside', 'netns', String(other.pid));
  await other.run('ip', 'addr', 'add', `${neighbour}/24`, 'dev', 'beside');
  await other.run('ip', 'link', 'set', 'beside', 'up');
  for (const place of [router, other]) await place.serve(90);
  return { router, other, link };
};

await runAny('modprobe', ['8021q']).catch(() => {});
const makesTags = existsSync('/proc/net/vlan');

for (const tag of [undefined, 42]) {
  const front = wired(tag === undefined ? {} : { tag });
  const hostLink = tag === undefined ? 'eth1' : 'cn4w42';
  describe(
    `a public network on a wire ${tag === undefined ? 'without' : 'with'} a tag`,
    { skip: tag !== undefined && !makesTags && 'the kernel makes no VLANs' },
    () => {
      let outside: Place;
      let router: Place;
      let other: Place;
      let link: string;
      const world = new DriverWorld(open);
      const settle = async (made: Connection): Promise<Place> => {
        const place = await world.settle(made);
        await place.serve(90);
        return place;
      };
      const place = (name: string): Place => world.place(name);
      const float = (address: string, machine: string | null) => world.network.float(address, machine, wiredOf(front)!);
      const answered = async (): Promise<string[]> =>
        (await run('ip', ['neigh', 'show', 'proxy']))
          .split('\n')
          .flatMap((line) => (line.includes(` dev ${hostLink} `) ? [line.split(' ')[0]!] : []))
          .toSorted();

      before(async () => {
        await becomeHost();
        outside = world.stack.use(await createOutside(subnet, '203.0.113.0/24'));
        await outside.serve(90);
        await run('ip', ['route', 'add', 'default', 'via', outsideAddress]);
        ({ router, other, link } = await createWire(world.stack, tag));
        await world.open([front, fabric]);
        await world.network.restore([], []);
        await settle(connection(1, 'one', [on(front.id, '203.0.113.5')]));
        await settle(connection(2, 'two', [on(front.id, '203.0.113.6')]));
        await settle(connection(3, 'plain', [on(externalNetwork, '10.80.0.5')]));
        await settle(connection(4, 'blue', [on(fabric.id, '192.168.10.5')]));
      });

      after(async () => {
        await world.network.close({ remove: true });
        assert.equal(await run('nft', ['list', 'tables']), '');
        assert.equal(await run('ip', ['neigh', 'show', 'proxy']), '');
        assert.doesNotMatch(await run('ip', ['rule']), /203\.0\.113|10\.80/);
        assert.doesNotMatch(await run('ip', ['route', 'show', 'table', 'all']), /203\.0\.113/);
        assert.doesNotMatch(await run('ip', ['link']), /cn4/);
        await world[Symbol.asyncDispose]();
      });

      test('machines are found on the wire, and reached from there and from behind the gateway', async () => {
        assert.equal(await other.ask('tcp', '203.0.113.5', 90), neighbour);
        assert.equal(await other.ask('udp', '203.0.113.6', 90), neighbour);
        assert.equal(await router.ask('tcp', '203.0.113.5', 90), gateway);
        assert.deepEqual(await answered(), ['203.0.113.5', '203.0.113.6']);
      });

      test('what they send outside leaves by the gateway there, as themselves', async () => {
        assert.equal(await place('one').ask('tcp', beyond, 90), '203.0.113.5');
        assert.equal(await place('two').ask('tcp', beyond, 90), '203.0.113.6');
        assert.equal(await place('two').ask('udp', gateway, 90), '203.0.113.6');
        assert.equal(await place('one').ask('tcp', neighbour, 90), '203.0.113.5');
        // The gateway knows them by their own addresses: the host has not spoken there under another.
        assert.doesNotMatch(await router.run('ip', 'neigh', 'show', 'dev', link), /198\.51\.100|10\.80/);
      });

      test('they reach each other, and others here reach them, without the wire', async () => {
        const moved = async () =>
          (JSON.parse(await router.run('ip', '-s', '-j', 'link', 'show', link)) as [{ stats64: { rx: { packets: number } } }])[0].stats64.rx.packets;
        const former = await moved();
        assert.equal(await place('one').ask('tcp', '203.0.113.6', 90), '203.0.113.5');
        assert.equal(await place('plain').ask('tcp', '203.0.113.5', 90), '10.80.0.5');
        assert.equal(await place('blue').ask('tcp', '203.0.113.5', 90), fabric.uplink);
        assert.equal(await askFromHost('tcp', '203.0.113.6', 90), '10.80.0.1');
        assert.ok((await moved()) - former < 4, 'no more than ARP');
        assert.equal(await place('one').ask('tcp', '10.80.0.5', 90), '203.0.113.5');
      });

      test('for what nobody has nobody answers, and what comes for it goes no further', async () => {
        assert.match(await other.ask('tcp', '203.0.113.99', 90), unreached);
        assert.match(await place('one').ask('tcp', '203.0.113.99', 90), unreached);
        await other.run('ip', 'neigh', 'add', '203.0.113.98', 'lladdr', macOf(await run('ip', ['-br', 'link', 'show', hostLink])), 'dev', 'beside');
        const former = await run('nft', ['list', 'counter', 'inet', `cenote-${instance}`, 'strangers']);
        assert.match(await other.ask('udp', '203.0.113.98', 90), unreached);
        assert.notEqual(await run('nft', ['list', 'counter', 'inet', `cenote-${instance}`, 'strangers']), former);
      });

      test('nobody on the wire takes one of their addresses', async () => {
        const listener = place('two').follow(
          process.execPath,
          '-e',
          "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m) => console.log(String(m))); u.bind(91, () => console.log('ready'))",
        );
        await until(() => listener.lines.includes('ready'));
        const [sourceMac, destinationMac] = [
          macBytesOf(await router.run('ip', '-br', 'link', 'show', 'eth0')),
          macBytesOf(await run('ip', ['-br', 'link', 'show', 'eth1'])),
        ];
        const send = (source: string, payload: string) => {
          const frame = udpFrame({ sourceMac, destinationMac, source: addressBytes(source), destination: addressBytes('203.0.113.6'), port: 91, payload });
          router.sendFrame(tag === undefined ? frame : Buffer.concat([frame.subarray(0, 12), Buffer.from([0x81, 0, 0, tag]), frame.subarray(12)]));
        };
        for (const source of ['203.0.113.5', '203.0.113.6', '10.80.0.5']) send(source, source);
        send(neighbour, 'itself');
        await until(() => listener.lines.includes('itself'));
        assert.deepEqual(listener.lines.toSorted(), ['itself', 'ready']);
      });

      test('further addresses are answered for while they are there', async () => {
        const { place: machine, connection: former } = world.machines.get('one')!;
        await world.network.setNics({ ...former, nics: [{ ...former.nics![0]!, more: ['203.0.113.50'] }] }, machine.pid, null);
        assert.equal(await other.ask('tcp', '203.0.113.50', 90), neighbour);
        await world.network.setNics(former, machine.pid, null);
        assert.deepEqual(await answered(), ['203.0.113.5', '203.0.113.6']);
      });

      test('floating addresses are on the wire, wherever their machines are', async () => {
        for (const name of ['plain', 'blue', 'two']) {
          await float('203.0.113.9', name);
          assert.equal(await other.ask('tcp', '203.0.113.9', 90), neighbour, name);
          assert.equal(await place(name).ask('tcp', beyond, 90), '203.0.113.9', name);
          assert.equal(await place(name).ask('tcp', neighbour, 90), '203.0.113.9', name);
        }
        await float('203.0.113.9', null);
        assert.deepEqual(await answered(), ['203.0.113.5', '203.0.113.6']);
        assert.doesNotMatch(await run('ip', ['rule']), /10\.80\.0\.5/);
      });

      test('who knew an address at another link is told that it is here now', async () => {
        for (const whose of ['plain', 'two']) {
          await router.run('ip', 'neigh', 'replace', '203.0.113.9', 'lladdr', '02:00:00:00:00:99', 'dev', link, 'nud', 'reachable');
          assert.notEqual(await router.ask('tcp', '203.0.113.9', 90), gateway);
          await float('203.0.113.9', whose);
          assert.equal(await router.ask('tcp', '203.0.113.9', 90), gateway, whose);
          await float('203.0.113.9', null);
        }
      });

      test('a flow goes on while the agent is restarted', async () => {
        await float('203.0.113.9', 'plain');
        const server = place('two').follow(process.execPath, '-e', "require('node:net').createServer((s) => s.pipe(s)).listen(92, () => console.log('ready'))");
        await until(() => server.lines.includes('ready'));
        const talk =
          "const s = require('node:net').connect(Number(process.argv[2]), process.argv[1]); let n = 0; s.on('data', () => { console.log(++n); setTimeout(() => s.write('x'), 5); }); s.on('close', () => console.log('closed')); s.on('error', () => {}); s.on('connect', () => s.write('x'));";
        const talker = other.follow(process.execPath, '-e', talk, '203.0.113.6', '92');
        await until(() => talker.lines.length > 5);
        await world.network.disconnect(1);
        world.machines.delete('one');
        await world.network.close({ remove: false });
        // What is lost meanwhile, and what was never ours.
        await run('ip', ['neigh', 'del', 'proxy', '203.0.113.6', 'dev', hostLink]);
        await run('ip', ['neigh', 'add', 'proxy', '203.0.113.5', 'dev', hostLink, 'protocol', '206']);
        await run('ip', ['neigh', 'add', 'proxy', '203.0.113.200', 'dev', hostLink]);
        await world.open();
        await float('203.0.113.9', 'plain');
        for (const definition of [front, fabric]) await world.network.define(definition);
        await world.network.restore(world.kept(), []);
        const lines = talker.lines.length;
        await until(() => talker.lines.length > lines + 20);
        assert.ok(!talker.lines.includes('closed'));
        assert.deepEqual(await answered(), ['203.0.113.200', '203.0.113.6', '203.0.113.9']);
        await run('ip', ['neigh', 'del', 'proxy', '203.0.113.200', 'dev', hostLink]);
        assert.equal(await place('plain').ask('tcp', beyond, 90), '203.0.113.9');
        await settle(connection(1, 'one', [on(front.id, '203.0.113.5')]));
        assert.equal(await other.ask('tcp', '203.0.113.5', 90), neighbour);
      });

      test('a device that goes down and comes again has all of it again', async () => {
        await run('ip', ['link', 'set', 'eth1', 'down']);
        assert.match(await place('one').ask('tcp', beyond, 90), unreached);
        await run('ip', ['link', 'set', 'eth1', 'up']);
        await until(async () => (await place('one').ask('tcp', beyond, 90)) === '203.0.113.5');
        await until(async () => (await other.ask('tcp', '203.0.113.9', 90)) === neighbour);
      });

      test('a device that there is not is said, and nothing stays', async () => {
        const lost = define(5, null, { subnet: '203.0.114.0/24', gateway: '203.0.114.1', mtu: 1500, isPublic: true, device: 'eth7' });
        await world.network.define(lost);
        const machine = world.stack.use(await Place.create('machine'));
        await assert.rejects(world.network.connect(connection(9, 'lost', [on(lost.id, '203.0.114.5')]), machine.fd), { code: 'unsupported', message: /eth7/ });
        assert.doesNotMatch(await run('ip', ['route']), /203\.0\.114/);
        assert.equal(await other.ask('tcp', '203.0.113.5', 90), neighbour);
      });

      test('what the host itself sends goes its own way, and what would not work is refused', async () => {
        await run('ip', ['addr', 'add', '203.0.113.2/32', 'dev', hostLink]);
        assert.match(await run('ip', ['route', 'get', beyond, 'from', '203.0.113.2']), /via 198\.51\.100\.2/);
        assert.equal(await place('one').ask('tcp', beyond, 90), '203.0.113.5');
        await run('ip', ['addr', 'del', '203.0.113.2/32', 'dev', hostLink]);
        const machine = world.stack.use(await Place.create('machine'));
        const elsewhere = define(6, null, { subnet: '198.51.100.0/24', gateway: outsideAddress, mtu: 1500, isPublic: true, device: 'eth1' });
        await world.network.define(elsewhere);
        const refused = (reason: RegExp) =>
          assert.rejects(world.network.connect(connection(9, 'lost', [on(elsewhere.id, '198.51.100.9')]), machine.fd), {
            code: 'unsupported',
            message: reason,
          });
        await refused(/a route to its gateway 198\.51\.100\.2 by another device/);
        await run('sysctl', ['net.ipv4.conf.eth1.rp_filter=1']);
        await refused(/rp_filter 1/);
        await run('sysctl', ['net.ipv4.conf.eth1.rp_filter=0']);
        assert.equal(await other.ask('tcp', '203.0.113.5', 90), neighbour);
      });

      test('with the last address all of it goes', async () => {
        for (const slot of [1, 2]) await world.network.disconnect(slot);
        assert.deepEqual(await answered(), ['203.0.113.9']);
        assert.equal(await place('plain').ask('tcp', beyond, 90), '203.0.113.9');
        await float('203.0.113.9', null);
        await until(async () => !/203\.0\.113/.test((await run('ip', ['rule'])) + (await run('ip', ['route', 'show', 'table', 'all']))));
        assert.doesNotMatch(await run('ip', ['link']), /cn4w/);
        assert.doesNotMatch(await run('nft', ['list', 'tables']), /arp/);
        assert.match(await place('plain').ask('tcp', beyond, 90), unreached);
      });
    },
  );
}

test('a look that fails is said, the agent goes on, and the next finds what is missing', async () => {
  await becomeHost();
  await using world = new AsyncDisposableStack();
  await createWire(world, undefined);
  await run('nft', [`table inet cenote-${instance} { set wired { type ifname . ipv4_addr; flags interval; }; }`]);
  const said: string[] = [];
  const telling = createLogger({ name: 'test', level: 'error', destination: { write: (line) => void said.push(line) } });
  const sockets = () =>
    readdirSync('/proc/self/fd').filter((fd) => existsSync(`/proc/self/fd/${fd}`) && readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:'));
  const former = new Set(sockets());
  const wires = new Wires({ instance, instanceNumber: 4, logger: telling, lookMs: 20 });
  const own = sockets().filter((fd) => !former.has(fd));
  assert.equal(own.length, 1);
  const put = (fd: number, number: number) => checked('dup2', declare('int dup2(int fd, int number)')(fd, number) as number);
  const [socket, kept] = [Number(own[0]), openSync('/dev/null', 'r+')];
  wires.know('203.0.113.0/24', wiredOf(wired({})));
  await wires.add(['203.0.113.5']);
  // Nothing of what it asks the kernel is answered.
  put(socket, kept);
  const nothing = openSync('/dev/null', 'r+');
  put(nothing, socket);
  await until(() => said.length > 1);
  assert.match(said[0]!, /ENOTSOCK/);
  await run('ip', ['route', 'flush', 'table', /lookup (\d+)/.exec(await run('ip', ['rule', 'list', 'from', '203.0.113.0/24', 'priority', '10009']))![1]!]);
  put(kept, socket);
  await until(async () => /via 203\.0\.113\.1/.test(await run('ip', ['route', 'show', 'table', 'all'])));
  for (const fd of [kept, nothing]) closeSync(fd);
  await wires.close({ remove: true });
});

after(tidy);
