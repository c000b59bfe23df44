/** A machine sends large datagrams, and its link drops some of their pieces: nobody else's may wait behind what never becomes whole. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { openNetwork } from '../../src/host/network/open.ts';
import { pieceSettings } from '../../src/host/network/pieces.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { connection, define, driverFiles, logger, on, settleIn, subnet } from './driver-world.ts';
import type { Settled } from './driver-world.ts';
import { becomeHost, until } from './network-world.ts';

const fabric = define(1, 'blue');
const six = define(2, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
const ceilingMbps = 10;
/** Of IPv4 or IPv6: 60,000 bytes at a time, as fast as they are taken, whatever becomes of them. */
const floodScript = `
  use Socket qw(:all); $| = 1; my ($address) = @ARGV; my $isIp6 = $address =~ /:/;
  socket(my $s, $isIp6 ? PF_INET6 : PF_INET, SOCK_DGRAM, 0);
  connect($s, $isIp6 ? pack_sockaddr_in6(9, inet_pton(AF_INET6, $address)) : pack_sockaddr_in(9, inet_aton($address)));
  print "sending\n"; my $data = "x" x 60000;
  while (1) { send($s, $data, MSG_DONTWAIT) or select(undef, undef, undef, 0.001); }`;

for (const [name, network, prefix] of [
  ['the external network', externalNetwork, '10.80.0.'],
  ['a fabric', fabric.id, '192.168.10.'],
  ['a fabric of IPv6', six.id, 'fd00:10::'],
] as const)
  test(`on ${name}`, async () => {
    const { instance, resolvConfPath, tidy } = driverFiles('pieces');
    await becomeHost();
    await using world = new AsyncDisposableStack();
    // As `up` does for the host's own namespace.
    for (const { key, value } of Object.values(pieceSettings[4])) writeFileSync(`/proc/sys/${key.replaceAll('.', '/')}`, String(value));
    const opened = await openNetwork({ instance, instanceNumber: 8, subnet, logger, resolvConfPath });
    for (const definition of [fabric, six]) await opened.define(definition);
    const machines: Settled = new Map();
    const rogue = await settleIn(world, opened, machines, connection(1, 'rogue', [on(network, `${prefix}5`)]));
    await settleIn(world, opened, machines, connection(2, 'target', [on(network, `${prefix}6`)]));
    const neighbour = await settleIn(world, opened, machines, connection(3, 'neighbour', [on(network, `${prefix}7`)]));
    await opened.limit(1, rogue.pid, ceilingMbps);
    const flood = rogue.follow('perl', '-e', floodScript, `${prefix}6`);
    await until(() => flood.lines.includes('sending'));
    // By the kernel's own settings the last of these would be lost, and all that come after.
    assert.match(await neighbour.run('ping', '-c', '60', '-i', '0.1', '-W', '2', '-s', '8000', `${prefix}6`), / 60 received/);
    await opened.close({ remove: true });
    tidy();
  });
