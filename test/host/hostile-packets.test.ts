/** What machines, and strangers, may not send, on each kind of network: real packets, from places where everything can be sent. docs/networks.md has the table. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { addressBytes } from '../../src/model/address.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import { macBytes } from '../../src/model/mac.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { connection, countersOf, define, driverFiles, logger, on, settleIn, subnet } from './driver-world.ts';
import type { Settled } from './driver-world.ts';
import { becomeHost, createOutside, hostAddress, until } from './network-world.ts';
import type { Place } from './network-world.ts';
import { arp, datagram, ethernet, inPieces, packet4, packet6, protocols, summed } from './raw-packets.ts';

const { instance, resolvConfPath, routers, tidy } = driverFiles('hostile');
const blueNet = define(1, 'blue');
const sixNet = define(2, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
const frontNet = define(3, null, { subnet: '203.0.113.0/24', gateway: '203.0.113.1', mtu: 1500, isPublic: true, device: 'eth1' });

/** On each: who is hostile, who is spoken to, and a third, for whom the first pretends to speak. */
const kinds = [
  { name: 'the external network', network: externalNetwork, family: 4, gateway: '10.80.0.1', rogue: '10.80.0.5', target: '10.80.0.6', third: '10.80.0.7' },
  { name: 'a fabric', network: blueNet.id, family: 4, gateway: '192.168.10.1', rogue: '192.168.10.5', target: '192.168.10.6', third: '192.168.10.7' },
  {
    name: 'a public network on a wire',
    network: frontNet.id,
    family: 4,
    gateway: '203.0.113.1',
    rogue: '203.0.113.5',
    target: '203.0.113.6',
    third: '203.0.113.7',
  },
  { name: 'a fabric of IPv6', network: sixNet.id, family: 6, gateway: 'fd00:10::1', rogue: 'fd00:10::5', target: 'fd00:10::6', third: 'fd00:10::7' },
] as const;
type Kind = (typeof kinds)[number];
const [external, blue, wire] = kinds;

/** Datagrams to any of these ports, as "port length beginning". */
const listenScript = `
  const ports = [68, 91, 92, 4444, 4789]; let bound = 0;
  for (const port of ports) {
    const u = require('node:dgram').createSocket('udp6');
    u.on('message', (m) => console.log(port + ' ' + m.length + ' ' + String(m).slice(0, 20)));
    u.bind(port, () => ++bound === ports.length && console.log('ready'));
  }`;

describe('hostile packets', () => {
  let network: Network;
  let outside: Place;
  const world = new AsyncDisposableStack();
  const machines: Settled = new Map();
  const heard = new Map<string, string[]>();
  const settle = (made: Connection): Promise<Place> => settleIn(world, network, machines, made);
  const at = (address: string): Place => machines.get(address)!.place;
  const inRouter = ({ network: id }: Kind, program: string, ...args: string[]): Promise<string> =>
    id === externalNetwork
      ? run(program, args)
      : run('nsenter', [`--net=${routers}/${readdirSync(routers).find((file) => file.endsWith(id))!}`, program, ...args]);
  const tunnelled = async (): Promise<number> => Number(/RX:.*\n\s*\d+\s+(\d+)/.exec(await run('ip', ['-s', 'link', 'show', 'vx0']))![1]);
  const counters = (kind: Kind, ...names: string[]): Promise<number[]> => countersOf({ routers, instance, network: kind.network }, ...names);

  before(async () => {
    await becomeHost();
    outside = world.use(await createOutside(subnet));
    await run('ip', ['link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'wire0']);
    for (const link of ['eth1', 'wire0']) await run('ip', ['link', 'set', link, 'up']);
    await outside.serve(90);
    network = await openNetwork({ instance, instanceNumber: 5, subnet, logger, resolvConfPath, routerLingerMs: 20 });
    // As another account's network would have one that goes over several hosts.
    await run('ip', ['link', 'add', 'vx0', 'up', 'type', 'vxlan', 'id', '77', 'dstport', '4789', 'local', hostAddress, 'nolearning']);
    for (const definition of [blueNet, sixNet, frontNet]) await network.define(definition);
    let slot = 0;
    for (const { network: id, rogue, target, third } of kinds)
      for (const address of [rogue, target, third]) await settle(connection(++slot, address, [on(id, address)]));
    for (const { target } of kinds) {
      const { lines } = at(target).follow(process.execPath, '-e', listenScript);
      heard.set(target, lines);
      await until(() => lines.includes('ready'));
    }
  });

  after(async () => {
    await network.close({ remove: true });
    await world.disposeAsync();
    tidy();
  });

  for (const kind of kinds) {
    const { name, family, gateway, rogue, target, third } = kind;
    const [make, type] = family === 4 ? [packet4, 0x0800] : [packet6, 0x86dd];
    const send = (from: string, packet: Buffer): void => at(from).sendFrame(ethernet(from, gateway, type, packet));
    const lines = (): string[] => heard.get(target)!;
    const has = (port: number, length: number, beginning: string) => lines().includes(`${port} ${length} ${beginning.slice(0, 20)}`);
    /** A datagram to the target in somebody's name. */
    const plain = (source: string, payload: string, to = 91, from = 4444) => ({
      source,
      destination: target,
      protocol: protocols.udp,
      content: datagram(source, target, { from, to }, payload),
    });
    let count = 0;
    /** What was sent before has been heard, or never will be. */
    const settled = async (): Promise<void> => {
      const last = `settled ${++count}`;
      send(third, make(plain(third, last)));
      await until(() => has(91, last.length, last));
    };
    /** What of these packets the target heard, and what the router counted meanwhile. */
    const outcome = async (names: string[], act: () => void | Promise<void>): Promise<{ heard: string[]; counted: number[] }> => {
      const before = await counters(kind, ...names);
      const from = lines().length;
      await act();
      await settled();
      const after = await counters(kind, ...names);
      return { heard: lines().slice(from, -1), counted: after.map((now, index) => now - before[index]!) };
    };

    describe(`on ${name}`, () => {
      test('a datagram in pieces arrives whole, and nobody else puts a piece into it', async () => {
        const whole = await outcome(['spoofed'], () => inPieces(make, plain(rogue, 'a'.repeat(2000)), 7, 1000).forEach((piece) => send(rogue, piece)));
        assert.deepEqual(whole, { heard: [`91 2000 ${'a'.repeat(20)}`], counted: [0] });
        // The rogue knows what the third is about to send, but for its end, and sends another.
        const [, forged] = inPieces(make, { ...plain(third, ''), content: Buffer.alloc(1008, 'evil') }, 8, 504);
        const [first, last] = inPieces(make, plain(third, 'b'.repeat(1000)), 8, 504);
        const spoiled = await outcome(['spoofed'], () => {
          send(rogue, forged!);
          send(third, first!);
          send(third, last!);
        });
        assert.deepEqual(spoiled, { heard: [`91 1000 ${'b'.repeat(20)}`], counted: [1] });
      });

      test('pieces get nothing past the firewall, however they lie', async () => {
        const machine = { id: blueNet.id, account: 'blue', address: target, nics: [on(kind.network, target)], tags: {}, firewall: true };
        const rule = { id: 'r', account: 'blue', rule: parseRule('FROM any TO all vms ALLOW udp PORT 91'), log: false };
        await network.firewall.restore([rule], [machine]);
        const pieces = (payload: string, port: number, id: number, ...cuts: number[]) => inPieces(make, plain(rogue, payload, port), id, ...cuts);
        const sent = (all: Buffer[]) => outcome([], () => all.forEach((piece) => send(rogue, piece)));
        assert.deepEqual((await sent(pieces('c'.repeat(100), 91, 20, 8))).heard, [`91 100 ${'c'.repeat(20)}`], 'the ports alone in the first');
        assert.deepEqual((await sent(pieces('d'.repeat(100), 92, 21, 8))).heard, [], 'a closed port');
        const [open, closed] = [pieces('e'.repeat(100), 91, 22, 56), pieces('f'.repeat(100), 92, 22, 56)];
        assert.deepEqual((await sent([open[0]!, closed[0]!, open[1]!])).heard, [`91 100 ${'e'.repeat(20)}`], 'the first beginning counts');
        const [low, high] = [pieces('g'.repeat(100), 91, 23, 56), pieces('h'.repeat(100), 92, 23, 64)];
        assert.deepEqual((await sent([low[0]!, high[0]!, low[1]!])).heard, [], 'a longer beginning over the first');
        const [, late] = pieces('i'.repeat(100), 91, 24, 8);
        assert.deepEqual((await sent([late!, late!])).heard, [], 'an end without a beginning');
        assert.ok((await network.traffic(machines.get(target)!.connection.slot)).dropped!.blocked! > 0);
        await network.firewall.restore([], []);
      });

      test('nobody answers in the name of the gateway or another: DHCP, names', async () => {
        const from = (source: string, to: number, port: number) => make(plain(source, 'forged', to, port));
        const forged = await outcome(['spoofed'], () => {
          for (const source of [gateway, third]) send(rogue, from(source, 68, 67));
          for (const source of [gateway, third]) send(rogue, from(source, 4444, 53));
        });
        assert.deepEqual(forged, { heard: [], counted: [4] });
        if (family === 6) return;
        const everybody = { ...plain(rogue, 'to all', 68, 67), destination: '255.255.255.255' };
        const asked = { ...everybody, source: '0.0.0.0', content: datagram('0.0.0.0', '255.255.255.255', { from: 68, to: 67 }, 'discover') };
        const told = await outcome(['spoofed', 'refused'], () => [everybody, asked].forEach((packet) => send(rogue, make(packet))));
        assert.deepEqual(told, { heard: [], counted: [1, 1] });
      });

      test('frames of other kinds change nobody’s mind and go nowhere', async () => {
        const neighbours = async () => [await inRouter(kind, 'ip', 'neigh'), await at(target).run('ip', 'neigh'), await at(third).run('ip', 'neigh')];
        const before = await neighbours();
        const everybody = Buffer.alloc(6, 255);
        const inner = make(plain(rogue, 'under a tag'));
        const { heard: said } = await outcome(['spoofed'], () => {
          for (const claimed of [gateway, third])
            for (const operation of [1, 2])
              for (const to of [everybody, macBytes(gateway)])
                if (family === 4) at(rogue).sendFrame(ethernet(rogue, to, 0x0806, arp(operation, rogue, claimed, target)));
          at(rogue).sendFrame(ethernet(rogue, Buffer.from('0180c2000000', 'hex'), 38, Buffer.from('424203000000000000', 'hex')));
          at(rogue).sendFrame(ethernet(rogue, Buffer.from('0180c200000e', 'hex'), 0x88cc, Buffer.alloc(40)));
          for (const to of [everybody, macBytes(target)]) at(rogue).sendFrame(ethernet(rogue, to, type, inner));
          at(rogue).sendFrame(ethernet(rogue, gateway, type, inner, 42));
          at(rogue).sendFrame(ethernet(rogue, gateway, type, make(plain(third, 'under no tag')), 0));
        });
        assert.deepEqual(said, []);
        assert.deepEqual(await neighbours(), before);
      });

      test('a tunnel of the machine’s own leads nowhere', async () => {
        const carried = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 0, 77, 0]), ethernet(rogue, third, type, make(plain(rogue, 'in a tunnel')))]);
        // A wire's gateway is not this host.
        const hosts = family === 6 ? [gateway] : kind === wire ? [hostAddress] : kind === blue ? [gateway, blueNet.uplink] : [gateway, hostAddress];
        const others = kind === wire ? external : kind;
        const [refused] = await counters(others, 'refused');
        const { heard: said } = await outcome([], () => {
          for (const destination of family === 6 ? hosts : new Set([...hosts, blueNet.uplink, hostAddress])) {
            const content = datagram(rogue, destination, { to: 4789 }, carried);
            send(rogue, make({ source: rogue, destination, protocol: protocols.udp, content }));
          }
        });
        assert.deepEqual(said, []);
        assert.deepEqual(await counters(others, 'refused'), [refused! + hosts.length]);
        assert.equal(await tunnelled(), 0);
      });

      test('what is malformed is dropped', async () => {
        const good = plain(rogue, 'malformed');
        const edited = (at: number, ...bytes: number[]): Buffer => {
          const packet = make(good);
          packet.set(bytes, at);
          return packet;
        };
        const heading = family === 4 ? 20 : 40;
        const segment = (flags: number, offset = 5) => {
          const content = Buffer.alloc(20);
          content.writeUInt16BE(4444, 0);
          content.writeUInt16BE(91, 2);
          content[12] = offset << 4;
          content[13] = flags;
          return make({ ...good, protocol: protocols.tcp, content: summed(rogue, target, protocols.tcp, content, 16) });
        };
        const bad = await outcome(['malformed'], () => {
          send(rogue, edited(heading + 6, 1, 1)); // checksum
          send(rogue, edited(heading + 4, 0xff, 0xff)); // longer than it is
          send(rogue, make({ ...good, content: good.content.subarray(0, 5) }));
          for (const flags of [0, 0x3f, 0x03, 0x06]) send(rogue, segment(flags));
          send(rogue, segment(2, 3));
          send(rogue, make({ ...good, protocol: protocols.tcp, content: Buffer.alloc(7) }));
          send(rogue, make({ ...good, protocol: family === 4 ? protocols.icmp : protocols.icmp6, content: Buffer.from([8, 0, 1, 1, 0, 0, 0, 0]) }));
        });
        assert.deepEqual(bad, { heard: [], counted: [10] });
        const worse = await outcome([], () => {
          send(rogue, edited(0, 0x15));
          send(rogue, edited(0, family === 4 ? 0x43 : 0x50));
          send(rogue, edited(family === 4 ? 2 : 4, 0xff, 0xff));
          if (family === 4) send(rogue, edited(10, 1, 1));
          for (const length of [0, 1, heading - 1]) send(rogue, make(good).subarray(0, length));
        });
        assert.deepEqual(worse.heard, []);
      });

      test('the sender says nothing about the way', async () => {
        const said = await outcome(['refused'], () => {
          if (family === 4) {
            for (const kindOfRoute of [131, 137]) {
              const options = Buffer.concat([Buffer.from([kindOfRoute, 7, 4]), addressBytes(target), Buffer.from([0])]);
              send(rogue, make({ ...plain(rogue, 'led'), destination: gateway, options }));
            }
          } else {
            for (const kindOfRoute of [0, 2, 4]) {
              const header = Buffer.concat([Buffer.from([protocols.udp, 2, kindOfRoute, 1, 0, 0, 0, 0]), addressBytes(target)]);
              send(rogue, packet6({ ...plain(rogue, 'led'), destination: gateway }, 43, [header]));
            }
          }
        });
        // Of IPv4 the kernel drops it before any rule.
        assert.deepEqual(said, { heard: [], counted: [family === 4 ? 0 : 3] });
      });

      test('all of it is told of who sent it, and of nobody else', async () => {
        const dropped = async (address: string) => (await network.traffic(machines.get(address)!.connection.slot)).dropped ?? {};
        // What was read within the last half second is told again.
        await until(async () => (await dropped(rogue)).malformed === 10);
        const { spoofed = 0, refused = 0, malformed = 0, ...rest } = await dropped(rogue);
        assert.ok(spoofed >= 5 && malformed === 10 && (refused > 0 || kind === wire), JSON.stringify({ spoofed, refused, malformed }));
        assert.deepEqual(rest, {});
        assert.deepEqual(await dropped(third), {});
        assert.deepEqual(await dropped(target), {}, 'the firewall’s went with it');
        const { connection: made } = machines.get(rogue)!;
        await network.disconnect(made.slot);
        await settle(made);
        assert.deepEqual(await dropped(rogue), {}, 'who has the link next begins at none');
      });
    });
  }

  test('a tunnel’s packets from another host are the tunnel’s', async () => {
    const carried = Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 0, 77, 0]), ethernet(external.rogue, external.third, 0x0800, Buffer.alloc(20))]);
    const script = `require('node:dgram').createSocket('udp4').send(Buffer.from(process.argv[1], 'hex'), 4789, '${hostAddress}', () => process.exit())`;
    await outside.run(process.execPath, '-e', script, carried.toString('hex'));
    await until(async () => (await tunnelled()) === 1);
  });

  test('what is led round in a ring ends', async () => {
    const { rogue, third, gateway } = blue;
    await network.define({ ...blueNet, version: 2, routes: { '10.8.0.0/16': third } });
    await at(third).run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.send_redirects=0', 'net.ipv4.conf.eth0.send_redirects=0');
    const received = async () => Number(/eth0:\s*\d+\s+(\d+)/.exec(await at(third).run('cat', '/proc/net/dev'))![1]);
    const send = (from: string, source: string) => {
      const content = datagram(source, '10.8.0.1', { to: 91 }, 'round and round');
      at(from).sendFrame(ethernet(from, gateway, 0x0800, packet4({ source, destination: '10.8.0.1', protocol: protocols.udp, content })));
    };
    const [before, [spoofed]] = [await received(), await counters(blue, 'spoofed')];
    send(rogue, rogue);
    await until(async () => (await counters(blue, 'spoofed'))[0] === spoofed! + 1);
    assert.equal((await received()) - before, 1, 'who carries does not send in the name of the network’s machines');
    send(third, '10.8.0.9');
    await until(async () => (await received()) - before >= 34);
    await sleep(100);
    assert.equal((await received()) - before, 34, 'it is sent on 64 times, by the one and by the other, and its sender is told');
    await network.define({ ...blueNet, version: 3 });
  });
});
