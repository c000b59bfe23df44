/**
 * One machine begins as many flows as it can, and keeps them: what becomes of everybody else's, on each kind of network. Real packets, as many as
 * fill the kernel's table.
 */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Network } from '../../src/host/network/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { run } from '../../src/exec/run.ts';
import { DriverWorld, connection, countersOf, define, driverFiles, logger, on, subnet } from './driver-world.ts';
import { becomeHost, createOutside, hostAddress, outsideAddress, until } from './network-world.ts';
import type { Place } from './network-world.ts';
import { ethernet, packet4, packet6, protocols } from './raw-packets.ts';

const { instance, resolvConfPath, routers, tidy } = driverFiles('flows');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 7, subnet, logger, resolvConfPath });
const [hostSix, outsideSix] = ['2001:db8::1', '2001:db8::2'] as const;
const fabric = define(1, 'blue');
const six = define(2, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
const networks = [fabric, six];

/**
 * Datagrams from ports 1024 to 61,023 to the first port and each of the following, or with `back` the other way round, as raw frames: no socket is
 * needed for any. Arguments: a frame, where its ports are, first port, how many, `back`.
 */
const floodScript = `
  my ($frame, $at, $first, $count, $back) = @ARGV; $frame = pack('H*', $frame);
  socket(my $s, 17, 3, 0) or die $!;
  my $request = pack('a16 x24', 'eth0'); ioctl($s, 0x8933, $request) or die $!; my $index = unpack 'x16 i', $request;
  bind($s, pack('S n i S C C a8', 17, 0x0800, $index, 0, 0, 0, '')) or die $!;
  for my $port ($first .. $first + $count - 1) {
    for my $other (1024 .. 61023) { substr($frame, $at, 4) = $back ? pack('nn', $port, $other) : pack('nn', $other, $port); send($s, $frame, 0); }
  }`;

interface Kind {
  name: string;
  network: string;
  gateway: string;
  /** Who floods, who answers, and who is beside. */
  rogue: string;
  friend: string;
  neighbour: string;
  outside: string;
  /** As what machines are seen there. */
  seen: string;
  /** Of the table, which it may have before somebody is held. */
  part: number;
}

const kinds: readonly Kind[] = [
  ['the external network', externalNetwork, '10.80.0.', outsideAddress, hostAddress, 0.5] as const,
  ['a fabric network', fabric.id, '192.168.10.', outsideAddress, hostAddress, 0.25] as const,
  ['a network of IPv6', six.id, 'fd00:10::', outsideSix, hostSix, 0.25] as const,
].map(([name, network, prefix, outside, seen, part]) => {
  const [gateway, rogue, friend, neighbour] = [1, 5, 6, 7].map((last) => `${prefix}${last}`) as [string, string, string, string];
  return { name, network, gateway, rogue, friend, neighbour, outside, seen, part };
});

describe('a machine that fills the table of flows', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const place = (name: string): Place => world.place(name);

  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside(subnet));
    await run('ip', ['addr', 'add', `${hostSix}/64`, 'dev', 'up0', 'nodad']);
    await outside.run('ip', 'addr', 'add', `${outsideSix}/64`, 'dev', 'eth0', 'nodad');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    for (const address of ['0.0.0.0', '::'] as const) await outside.serve(90, address);
    await world.open(networks);
    let slot = 0;
    for (const { network, rogue, friend, neighbour } of kinds) {
      for (const address of [rogue, friend, neighbour]) await world.settle(connection(++slot, address, [on(network, address)]));
      await place(friend).serve(90, friend.includes(':') ? '::' : '0.0.0.0');
    }
  });

  after(async () => {
    await world[Symbol.asyncDispose]();
    tidy();
  });

  for (const kind of kinds) {
    const { name, network, gateway, rogue, friend, neighbour, part } = kind;
    const ask = (from: string, to = kind.outside): Promise<string> => place(from).ask('tcp', to, 90);

    const flood = async (source: string, destination: string, ...more: string[]): Promise<void> => {
      const content = Buffer.from([0, 0, 0, 0, 0, 9, 0, 0, 0x78]);
      const [make, type, at] = source.includes(':') ? [packet6, 0x86dd, 54] : [packet4, 0x0800, 34];
      const frame = ethernet(source, gateway, type, make({ source, destination, protocol: protocols.udp, content }));
      await place(source).run('perl', '-e', floodScript, frame.toString('hex'), String(at), '2000', '4', ...more);
    };
    /** In its router. */
    const numberOf = async (what: 'count' | 'max'): Promise<number> => {
      const path = `/proc/sys/net/netfilter/nf_conntrack_${what}`;
      const own = network === externalNetwork ? '' : readdirSync(routers).find((file) => file.endsWith(network))!;
      return Number(own === '' ? await run('cat', [path]) : await run('nsenter', [`--net=${routers}/${own}`, 'cat', path]));
    };
    const crowded = async (): Promise<number> => (await countersOf({ routers, instance, network }, 'crowded'))[0]!;

    test(`on ${name}: is held, and neighbours begin flows as before`, async () => {
      await world.network.close({ remove: false });
      await flood(rogue, friend);
      await flood(friend, rogue, 'back');
      // From now on what is sent is part of a stream, whose flows the kernel does not give up for others.
      await sleep(2100);
      await flood(rogue, friend);
      const most = await numberOf('max');
      assert.ok((await numberOf('count')) > most * 0.75, 'nobody has kept it from that');
      await world.open(networks);
      await world.network.restore(world.kept(), []);
      // Each question is two processes that this one begins, whose time the driver wants for its cutting.
      await until(async () => (await numberOf('count')) < most * (part + 0.02), 60_000, 500);
      for (let times = 0; times < 3; times += 1) assert.equal(await ask(neighbour), kind.seen);
      assert.equal(await ask(friend), kind.seen, 'who only answers is not held');
      const before = await crowded();
      assert.equal(await ask(rogue), 'timeout');
      assert.equal(await ask(neighbour, rogue), 'timeout', 'nor is one begun to it');
      assert.ok((await crowded()) > before);
    });

    test(`on ${name}: who has its address next begins flows as anybody does`, async () => {
      const { slot } = world.machines.get(rogue)!.connection;
      await world.network.disconnect(slot);
      const next = await world.settle(connection(slot + 100, `next at ${rogue}`, [on(network, rogue)]));
      assert.equal(await next.ask('tcp', kind.outside, 90), kind.seen);
      assert.ok((await numberOf('count')) < 1000);
    });
  }
});
