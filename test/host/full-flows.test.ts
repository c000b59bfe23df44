/** One machine begins as many flows as it can, and keeps them: what becomes of everybody else's. Real packets, as many as fill the kernel's table. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Network } from '../../src/host/network/network.ts';
import { macOf } from '../../src/model/mac.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { run } from '../../src/exec/run.ts';
import { DriverWorld, connection, countersOf, driverFiles, logger, on, subnet } from './driver-world.ts';
import { becomeHost, createOutside, hostAddress, outsideAddress, until } from './network-world.ts';
import type { Place } from './network-world.ts';

const { instance, resolvConfPath, routers, tidy } = driverFiles('flows');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 7, subnet, logger, resolvConfPath });

/**
 * Datagrams from ports 1024 to 61,023 to the first port and each of the following, or with `back` the other way round, as raw frames: no socket is
 * needed for any. Arguments: own address and MAC, the other's and the gateway's MAC, first port, how many, `back`.
 */
const floodScript = `
  use Socket; my ($own, $mac, $to, $router, $first, $count, $back) = @ARGV;
  my $hex = sub { my $text = shift; $text =~ s/://g; pack 'H*', $text };
  my $ip = pack('CCnnnCCn', 0x45, 0, 29, 0, 0, 64, 17, 0) . inet_aton($own) . inet_aton($to);
  my $sum = 0; $sum += $_ for unpack 'n*', $ip; $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
  substr($ip, 10, 2) = pack 'n', ~$sum & 0xffff;
  socket(my $s, 17, 3, 0) or die $!;
  my $request = pack('a16 x24', 'eth0'); ioctl($s, 0x8933, $request) or die $!; my $index = unpack 'x16 i', $request;
  bind($s, pack('S n i S C C a8', 17, 0x0800, $index, 0, 0, 0, '')) or die $!;
  my $frame = $hex->($router) . $hex->($mac) . pack('n', 0x0800) . $ip . pack('nnnn', 0, 0, 9, 0) . 'x';
  for my $port ($first .. $first + $count - 1) {
    for my $other (1024 .. 61023) { substr($frame, 34, 4) = $back ? pack('nn', $port, $other) : pack('nn', $other, $port); send($s, $frame, 0); }
  }`;

describe('a machine that fills the table of flows', () => {
  let outside: Place;
  const world = new DriverWorld(open);
  const place = (name: string): Place => world.place(name);

  before(async () => {
    await becomeHost();
    outside = world.stack.use(await createOutside(subnet));
    await outside.serve(90);
    await world.open();
    await world.settle(connection(1, 'rogue', [on(externalNetwork, '10.80.0.5')]));
    await world.settle(connection(2, 'friend', [on(externalNetwork, '10.80.0.6')]));
    await world.settle(connection(3, 'neighbour', [on(externalNetwork, '10.80.0.7')]));
    await place('friend').serve(90);
  });

  after(async () => {
    await world.network.close({ remove: true });
    await world[Symbol.asyncDispose]();
    tidy();
  });

  const flood = (from: string, to: string, ...more: string[]): Promise<string> => {
    const [own, other] = [from, to].map((name) => world.machines.get(name)!.connection.address) as [string, string];
    return place(from).run('perl', '-e', floodScript, own, macOf(own), other, macOf('10.80.0.1'), '2000', '4', ...more);
  };
  const numberOf = async (name: 'count' | 'max'): Promise<number> => Number(await run('cat', [`/proc/sys/net/netfilter/nf_conntrack_${name}`]));
  const crowded = async (): Promise<number> => (await countersOf({ routers, instance, network: externalNetwork }, 'crowded'))[0]!;

  test('is held, and neighbours begin flows as before', async () => {
    await world.network.close({ remove: false });
    await flood('rogue', 'friend');
    await flood('friend', 'rogue', 'back');
    // From now on what is sent is part of a stream, whose flows the kernel does not give up for others.
    await sleep(2100);
    await flood('rogue', 'friend');
    const most = await numberOf('max');
    assert.ok((await numberOf('count')) > most * 0.75, 'nobody has kept it from that');
    await world.open();
    await world.network.restore(world.kept(), []);
    await until(async () => (await numberOf('count')) < most * 0.52, 60_000);
    for (const port of [90, 90, 90]) assert.equal(await place('neighbour').ask('tcp', outsideAddress, port), hostAddress);
    assert.equal(await place('friend').ask('tcp', outsideAddress, 90), hostAddress, 'who only answers is not held');
    const before = await crowded();
    assert.equal(await place('rogue').ask('tcp', outsideAddress, 90), 'timeout');
    assert.equal(await place('neighbour').ask('tcp', '10.80.0.5', 90), 'timeout', 'nor is one begun to it');
    assert.ok((await crowded()) > before);
  });

  test('who has its address next begins flows as anybody does', async () => {
    await world.network.disconnect(world.machines.get('rogue')!.connection.slot);
    const next = await world.settle(connection(9, 'next', [on(externalNetwork, '10.80.0.5')]));
    await until(async () => (await next.ask('tcp', outsideAddress, 90)) === hostAddress, 60_000);
    assert.ok((await numberOf('count')) < 1000);
  });
});
