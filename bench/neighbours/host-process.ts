/**
 * A host in a namespace of this process's own, with two machines on each kind of network: what goes from one to the other, alone and with COUNT
 * others beside them, which are links, namespaces, elements and routes as every machine has them, and nothing in them. A line of JSON for each look.
 */
import { createNetworkNamespace } from '../../src/sys/netns.ts';
import { closeFd } from '../../src/sys/libc.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { DriverWorld, connection, define, driverFiles, logger, on } from '../../test/host/driver-world.ts';
import { becomeHost, until } from '../../test/host/network-world.ts';
import { run } from '../../src/exec/run.ts';
import { carried } from '../lib/path.ts';
import type { Carried } from '../lib/path.ts';

/** Of one look. */
export interface Look {
  beside: number;
  ways: Record<string, Carried>;
  /** How long it took to connect one of those beside, with its three NICs. */
  connectMs: number | null;
}

const [count, seconds] = process.argv.slice(2).map(Number) as [number, number];
const { instance, resolvConfPath, tidy } = driverFiles('beside');
const subnet = '10.80.0.0/16';
const fabric = define(1, 'blue', { subnet: '10.200.0.0/16', gateway: '10.200.0.1', uplink: '10.80.255.1' });
const six = define(2, 'blue', { subnet: 'fd00:200::/64', gateway: 'fd00:200::1', uplink: '10.80.255.2' });
const networks = { external: externalNetwork, fabric: fabric.id, six: six.id } as const;
type Way = keyof typeof networks;
const addressOf = {
  external: (at: number) => `10.80.${place(at)}`,
  fabric: (at: number) => `10.200.${place(at)}`,
  six: (at: number) => `fd00:200::${at.toString(16)}`,
};
const place = (at: number): string => `${at >> 8}.${at & 255}`;
/** Behind those of the two. */
const firstBeside = 256;

await becomeHost();
const world = new DriverWorld(() => openNetwork({ instance, instanceNumber: 9998, subnet, logger, resolvConfPath }));
await world.open([fabric, six]);
const ways = Object.keys(networks) as Way[];
for (const [index, way] of ways.entries())
  for (const end of [0, 1]) await world.settle(connection(2 * index + end, `${way}${end}`, [on(networks[way], addressOf[way](10 + end))]));

const look = async (beside: number, connectMs: number | null): Promise<void> => {
  const found: Look = { beside, ways: {}, connectMs };
  for (const way of ways)
    found.ways[way] = await carried({ from: world.place(`${way}0`).pid, to: world.place(`${way}1`).pid, address: addressOf[way](11) }, seconds);
  console.log(JSON.stringify(found));
};

await look(0, null);
const begun = performance.now();
const namespaces: number[] = [];
for (let at = 0; at < count; at += 1) {
  const fd = createNetworkNamespace();
  namespaces.push(fd);
  const nics = ways.map((way, index) => on(networks[way], addressOf[way](firstBeside + at), index, index === 0));
  await world.network.prepare(firstBeside + at, fd);
  await world.network.connect(connection(firstBeside + at, `beside${at}`, nics), fd);
}
const connectMs = (performance.now() - begun) / count;
for (let round = 0; round < 2; round += 1) await look(count, connectMs);
for (const [at, fd] of namespaces.entries()) {
  await world.network.disconnect(firstBeside + at);
  closeFd(fd);
}
await until(async () => !/cn9998v\d{3,4}@/.test(await run('ip', ['-br', 'link', 'show', 'type', 'veth'])), 120_000);
await look(0, null);
await world[Symbol.asyncDispose]();
tidy();
