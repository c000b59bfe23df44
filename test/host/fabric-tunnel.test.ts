/**
 * That a fabric network can go over two hosts as its routers are made: a proof, with what a control plane of several hosts will program put
 * there by hand. Two instances are the hosts, each with its own underlay in a namespace of its own; between their routers is VXLAN with a
 * route, a neighbour and a forwarding entry for each machine elsewhere: nothing is flooded and nothing learned.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { NetworkDefinition } from '../../src/model/network.ts';
import { Place, becomeHost, createOutside, hostAddress, outsideAddress } from './network-world.ts';

const network = '00000000-0000-4000-8000-000000000001';
const cidr = '192.168.10.0/24';
const definition: Omit<NetworkDefinition, 'uplink'> = {
  id: network,
  account: 'blue',
  version: 1,
  subnet: cidr,
  gateway: '192.168.10.1',
  resolvers: [],
  internetNat: true,
  mtu: 1450,
};

test('machines of one network on two hosts reach each other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-tunnel-'));
  const resolvConfPath = join(directory, 'resolv.conf');
  writeFileSync(resolvConfPath, 'nameserver 127.0.0.1\n');
  await becomeHost();
  await using world = new AsyncDisposableStack();
  const outside = world.use(await createOutside());
  const hosts = [
    { number: 1, subnet: '10.80.0.0/16', address: '192.168.10.5', underlay: hostAddress, mac: '02:00:00:00:00:0a' },
    { number: 2, subnet: '10.81.0.0/16', address: '192.168.10.6', underlay: outsideAddress, mac: '02:00:00:00:00:0b' },
  ] as const;
  const machines: Place[] = [];
  for (const { number, subnet, address } of hosts) {
    const instance = `tunnel${process.pid}x${number}`;
    const opened = await openNetwork({ instance, instanceNumber: number, subnet, logger: createLogger({ name: 'test', level: 'fatal' }), resolvConfPath });
    world.defer(async () => {
      await opened.close({ remove: true });
      rmSync(`/run/cenote-${instance}`, { recursive: true });
    });
    await opened.define({ ...definition, uplink: subnet.replace('0.0/16', '0.9') });
    const machine = world.use(await Place.create('machine'));
    await opened.connect({ slot: number, machine: `m${number}`, address, publish: [], nics: [{ network, address, index: 0, primary: true }] }, machine.fd);
    await machine.serve(90);
    machines.push(machine);
  }
  const [a, b] = machines as [Place, Place];
  assert.match(await a.ask('tcp', '192.168.10.6', 90), /EHOSTUNREACH|timeout/, 'each host is alone');

  for (const [at, { number, underlay, mac }] of hosts.entries()) {
    const peer = hosts[1 - at]!;
    const instance = `tunnel${process.pid}x${number}`;
    const router = `/run/cenote-${instance}/networks/${readdirSync(`/run/cenote-${instance}/networks`)[0]!}`;
    const inRouter = (...words: string[]) => run('nsenter', [`--net=${router}`, ...words]);
    // Made where its packets are to be sent from, and then given to the router.
    const make = ['link', 'add', 'vx0', 'type', 'vxlan', 'id', '77', 'dstport', '4789', 'local', underlay, 'nolearning'];
    const give = ['link', 'set', 'vx0', 'netns', router];
    for (const words of [make, give]) await (at === 0 ? run('ip', words) : outside.run('ip', ...words));
    await inRouter('ip', 'link', 'set', 'vx0', 'address', mac, 'mtu', '1450', 'up');
    await inRouter('ip', 'route', 'add', `${peer.address}/32`, 'dev', 'vx0');
    await inRouter('ip', 'neighbour', 'add', peer.address, 'lladdr', peer.mac, 'dev', 'vx0', 'nud', 'permanent');
    await inRouter('bridge', 'fdb', 'append', peer.mac, 'dev', 'vx0', 'dst', peer.underlay);
    for (const rule of [`entering iifname vx0 ip saddr ${cidr} accept`, 'forward iifname vx0 accept', 'forward oifname vx0 accept'])
      await inRouter('nft', 'insert', 'rule', 'inet', `cenote-${instance}`, ...rule.split(' '));
  }
  assert.equal(await a.ask('tcp', '192.168.10.6', 90), '192.168.10.5');
  assert.equal(await b.ask('udp', '192.168.10.5', 90), '192.168.10.6');
  assert.match(await a.run('ping', '-c', '1', '-W', '1', '-M', 'do', '-s', '1400', '192.168.10.6'), /1 received/);
  assert.match(await a.ask('tcp', '192.168.10.7', 90), /EHOSTUNREACH|timeout/, 'what nobody has is asked of nobody');
  rmSync(directory, { recursive: true });
});
