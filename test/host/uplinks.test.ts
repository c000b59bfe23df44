/** Network guarantees on an uplink, with real packets: who gets what when all want all, and that nobody else's queue is touched. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, runAny } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import type { Nic } from '../../src/model/network.ts';
import { counter, firstPort, floodTcp, floodUdp, holds, rates } from './flood.ts';
import type { Counted } from './flood.ts';
import { define, driverFiles, logger, on, subnet } from './driver-world.ts';
import { Place, becomeHost, createOutside, hostAddress, outsideAddress, until } from './network-world.ts';

const { instance, resolvConfPath, tidy } = driverFiles('uplink');
const device = 'up0';
const capacityMbps = 100;
const open = (uplinks?: { capacityMbps: number }): Promise<Network> =>
  openNetwork({
    instance,
    instanceNumber: 1,
    subnet,
    logger,
    resolvConfPath,
    routerLingerMs: 20,
    uplinks: uplinks && { devices: [device], lookMs: 50, ...uplinks },
  });

/** What one machine's own link lets through: so that who floods does not take the processor. */
const linkMbps = 95;
const guarantees = [10, 20, 40];
/** Of a guarantee, as payload arrives: on a busy host who sends may not have the processor all the time. */
const enough = 0.75;
const back = define(1, 'blue');
/** Its machines are seen by their own addresses. */
const seen = define(2, null, { subnet: '203.0.113.0/24', gateway: '203.0.113.1', isPublic: true });
const machines: Connection[] = [
  ...guarantees.map((guaranteeMbps, index) => ({ slot: index, machine: `m${index}`, address: `10.80.0.${10 + index}`, publish: [], guaranteeMbps })),
  ...[5, 6].map((last, index) => ({
    slot: 3 + index,
    machine: `fabric${index}`,
    address: `192.168.10.${last}`,
    nics: [on(back.id, `192.168.10.${last}`)],
    publish: index === 0 ? [{ protocol: 'tcp' as const, hostPort: 8080, machinePort: 80 }] : [],
    guaranteeMbps: 10,
  })),
];

/** Bytes sent by each class, by its number. */
const sent = async (): Promise<Map<string, number>> => {
  const found = (await run('tc', ['-s', 'class', 'show', 'dev', device])).matchAll(/^class htb (\S+) .*\n Sent (\d+) bytes/gm);
  return new Map(Array.from(found, ([, number, bytes]) => [number!, Number(bytes)]));
};
const queues = (): Promise<string> => run('tc', ['qdisc', 'show', 'dev', device]);
/** By class: `10Mbit of 100Mbit`. */
const classes = async (): Promise<Record<string, string>> => {
  const found = (await run('tc', ['class', 'show', 'dev', device])).matchAll(/^class htb ce01:(\S+) .*rate (\S+) ceil (\S+)/gm);
  return Object.fromEntries(Array.from(found, ([, minor, rate, ceil]) => [minor!, `${rate} of ${ceil}`]));
};
const usual = {
  '1': '100Mbit of 100Mbit',
  ffff: '2500Kbit of 100Mbit',
  a: '10Mbit of 100Mbit',
  b: '20Mbit of 100Mbit',
  c: '40Mbit of 100Mbit',
  '65': '20Mbit of 100Mbit',
};

describe('guarantees on an uplink', () => {
  const world = new AsyncDisposableStack();
  const places: Place[] = [];
  let network: Network;
  let outside: Place;
  let counted: Counted;

  before(async () => {
    await becomeHost();
    outside = world.use(await createOutside(subnet));
    counted = outside.follow(process.execPath, '-e', counter(firstPort, 6));
    await until(() => counted.lines.length > 0);
    network = await open({ capacityMbps });
    await network.define(back);
    for (const machine of machines) {
      const place = world.use(await Place.create('machine'));
      places.push(place);
      if (machine.nics === undefined) await network.prepare(machine.slot, place.fd);
      await network.connect(machine, place.fd, linkMbps);
    }
  });

  after(async () => {
    await network.close({ remove: true });
    const left = await queues();
    await world.disposeAsync();
    tidy();
    assert.doesNotMatch(left, /htb/, 'the default queue is back');
  });

  /** What these get while all of them send, by TCP, which costs the processor less, or by UDP; `host`: the host as well, to the last port. */
  const shares = async (who: readonly number[], { udp = [], host = false }: { udp?: readonly number[]; host?: boolean } = {}): Promise<number[]> => {
    const words = (index: number): string[] => [udp.includes(index) ? floodUdp : floodTcp, outsideAddress, String(firstPort + index), '4'];
    const sending = who.map((index) => places[index]!.run('perl', '-e', ...words(index)));
    if (host) sending.push(run('perl', ['-e', ...words(5)]));
    await sleep(1000);
    const got = await rates(counted, 2000);
    await Promise.all(sending);
    return got;
  };
  const hasAtLeast = (got: readonly number[], index: number, mbps: number): void =>
    assert.ok(got[index]! > mbps * enough, `${mbps} Mbit/s were promised, of ${got.map((rate) => rate.toFixed(1)).join(', ')}`);
  const haveAtLeast = (got: readonly number[], all: readonly number[]): void => {
    for (const [index, mbps] of all.entries()) if (mbps > 0) hasAtLeast(got, index, mbps);
  };

  /** What is left to borrow as well, so it is as 1 to 2 to 4; without classes all would have the same. */
  const isInProportion = ([first, second, third]: readonly number[]): void =>
    assert.ok(second! > first! * 1.4 && third! > second! * 1.4, `${first}, ${second} and ${third} Mbit/s are not as 10, 20 and 40`);

  test('each has its guarantee at least, by UDP or TCP; what is left is shared in proportion', async (context) => {
    assert.deepEqual(await classes(), usual);
    const measure = async (): Promise<number[]> => {
      const got = await shares([0, 1, 2], { udp: [0] });
      context.diagnostic(got.join(' '));
      assert.ok(got.reduce((sum, one) => sum + one) < capacityMbps);
      return got;
    };
    await holds(measure, (got) => {
      haveAtLeast(got, [11, 22, 44]);
      isInProportion(got);
    });
  });

  test('one alone has all, also with the least guarantee', async () => {
    await holds(
      () => shares([0]),
      (got) => hasAtLeast(got, 0, 85),
    );
  });

  test('the host itself is not starved, and starves nobody', async (context) => {
    const got = await holds(
      () => shares([0, 1, 2], { host: true }),
      (seen) => haveAtLeast(seen, [...guarantees, 0, 0, 5]),
    );
    context.diagnostic(got.join(' '));
  });

  test('a network of machines has the sum of what they have', async (context) => {
    const measure = () => shares([0, 1, 2, 3, 4]);
    const got = await holds(measure, (seen) => {
      haveAtLeast(seen, guarantees);
      assert.ok(seen[3]! + seen[4]! > 15, `two of a network had ${seen[3]} and ${seen[4]}`);
    });
    context.diagnostic(got.join(' '));
  });

  test('answers of published ports are in the class of who answers', async () => {
    const serve = `require('node:net').createServer((s) => { s.on('error', () => {}); s.end(Buffer.alloc(1000000)); }).listen(80, () => console.log('ready')); setTimeout(process.exit, 60000);`;
    const ask = (port: number) =>
      outside.run(process.execPath, '-e', `require('node:net').connect(${port}, '${hostAddress}').on('data', () => {}).on('end', () => process.exit())`);
    await network.publish({ ...machines[0]!, publish: [{ protocol: 'tcp', hostPort: 8000, machinePort: 80 }] });
    for (const [index, port, minor] of [
      [0, 8000, 'a'],
      [3, 8080, '65'],
    ] as const) {
      const server = places[index]!.follow(process.execPath, '-e', serve);
      await until(() => server.lines.length > 0);
      const former = await sent();
      await ask(port);
      const now = await sent();
      const more = (number: string) => now.get(`ce01:${number}`)! - former.get(`ce01:${number}`)!;
      assert.ok(more(minor) > 1_000_000, `${more(minor)} bytes in class ${minor}`);
      assert.ok(more('ffff') < 10_000, `${more('ffff')} bytes in the host's class`);
    }
  });

  test('machines of a public network, seen by their own addresses, are in its class', async () => {
    await network.define(seen);
    await outside.run('ip', 'route', 'add', seen.subnet, 'via', hostAddress);
    const place = world.use(await Place.create('machine'));
    const nics = [{ network: seen.id, address: '203.0.113.5', index: 0, primary: true }];
    await network.connect({ slot: 7, machine: 'seen', address: '203.0.113.5', nics, publish: [], guaranteeMbps: 5 }, place.fd);
    assert.equal((await classes())['66'], '5Mbit of 100Mbit');
    const former = await sent();
    await place.run('perl', '-e', floodTcp, outsideAddress, String(firstPort), '2');
    const now = await sent();
    const [inClass, inOthers] = ['66', 'ffff'].map((minor) => now.get(`ce01:${minor}`)! - former.get(`ce01:${minor}`)!);
    assert.ok(inClass! > 1_000_000 && inOthers! < 10_000, `${inClass} bytes in its class, ${inOthers} in the host's`);
    await network.disconnect(7);
    await until(async () => (await classes())['66'] === undefined);
  });

  test('a guarantee that is changed is so at once, on a network too', async () => {
    await network.guarantee(0, 40);
    await network.guarantee(2, 0);
    await network.guarantee(4, 15);
    const { c: _, ...rest } = await classes();
    const { c: __, ...others } = usual;
    assert.deepEqual(rest, { ...others, a: '40Mbit of 100Mbit', '65': '25Mbit of 100Mbit' });
    await holds(
      () => shares([0, 1, 2]),
      (got) => haveAtLeast(got, [40, 20]),
    );
    await network.guarantee(0, 10);
    await network.guarantee(2, 40);
    await network.guarantee(4, 10);
    assert.deepEqual(await classes(), usual);
  });

  test('one that had none, and sent, has a guarantee as soon as it is given', async () => {
    await network.guarantee(2, 0);
    await shares([2]);
    await network.guarantee(0, 15);
    await network.guarantee(2, 40);
    // All that there is is promised and wanted: nothing is left to borrow.
    await holds(
      () => shares([0, 1, 2, 3, 4], { host: true }),
      (got) => hasAtLeast(got, 2, 40),
    );
    await network.guarantee(0, 10);
    assert.deepEqual(await classes(), usual);
  });

  test('of more than there is each has the same part', async () => {
    await network.guarantee(0, 95);
    const all = await classes();
    // 95 can be promised, and 175 are.
    assert.deepEqual([all['a'], all['b'], all['65']], ['51571Kbit of 100Mbit', '10857Kbit of 100Mbit', '10857Kbit of 100Mbit']);
    await holds(
      () => shares([0, 1, 2]),
      (got) => haveAtLeast(got, [51.5, 10.8, 21.7]),
    );
    await network.guarantee(0, 10);
    assert.deepEqual(await classes(), usual);
  });

  test('it follows the machine to the network that is its way out', async () => {
    const machine = machines[0]!;
    const nic = (network: string, address: string, index: number, primary: boolean): Nic => ({ network, address, index, primary });
    const both = (primary: string): Nic[] => [
      nic(externalNetwork, machine.address, 0, primary === externalNetwork),
      nic(back.id, '192.168.10.9', 1, primary === back.id),
    ];
    await network.setNics({ ...machine, address: '192.168.10.9', nics: both(back.id) }, places[0]!.pid, linkMbps);
    const moved = await classes();
    assert.equal(moved['65'], '30Mbit of 100Mbit');
    assert.match(moved['a']!, /^\d+bit of/, 'and its former class has the least');
    await holds(
      () => shares([0]),
      (got) => hasAtLeast(got, 0, 80),
    );
    await network.setNics({ ...machine, nics: both(externalNetwork) }, places[0]!.pid, linkMbps);
    await network.setNics(machine, places[0]!.pid, linkMbps);
    assert.deepEqual(await classes(), usual);
  });

  test('it holds while no agent is there, and is taken over as it is', async () => {
    const before = await sent();
    await network.close({ remove: false });
    await holds(
      () => shares([0, 1, 2]),
      (got) => haveAtLeast(got, guarantees),
    );
    network = await open({ capacityMbps });
    await network.define(back);
    const kept = machines.map((machine, index) => ({ ...machine, pid: places[index]!.pid, ceilingMbps: linkMbps }));
    await network.restore(kept, []);
    assert.deepEqual(await classes(), usual);
    for (const [number, bytes] of await sent()) assert.ok(bytes >= before.get(number)!, `class ${number} was made anew`);

    await network.close({ remove: false });
    network = await open({ capacityMbps: 100_000 });
    await network.define(back);
    await network.restore(kept.slice(1), []);
    assert.deepEqual(await classes(), {
      '1': '100Gbit of 100Gbit',
      ffff: '2500Mbit of 100Gbit',
      b: '20Mbit of 100Gbit',
      c: '40Mbit of 100Gbit',
      '65': '20Mbit of 100Gbit',
    });
    await network.close({ remove: false });
    network = await open();
    assert.doesNotMatch(await queues(), /htb/, 'without a capacity nothing is shaped');
    await network.close({ remove: false });
    network = await open({ capacityMbps });
    await network.define(back);
    await network.restore(kept, []);
    assert.deepEqual(await classes(), { ...usual });
    await holds(
      () => shares([0, 1, 2]),
      (got) => hasAtLeast(got, 0, 10),
    );
  });

  test('what is taken away comes back; what is another’s is left alone', async () => {
    const lacks = () => network.uplinks()[0]!.lacks;
    await run('tc', ['qdisc', 'del', 'dev', device, 'root']);
    await network.guarantee(1, 25);
    await until(async () => lacks() === null && Object.keys(await classes()).length === 6);
    assert.deepEqual(await classes(), { ...usual, b: '25Mbit of 100Mbit' });
    await network.guarantee(1, 20);

    await run('tc', ['qdisc', 'replace', 'dev', device, 'root', 'handle', '8:', 'htb']);
    await until(() => lacks() !== null);
    assert.match(lacks()!, /up0 has another root queue: htb 8:/);
    await network.guarantee(1, 22);
    await sleep(120);
    assert.match(await queues(), /htb 8: root/);
    await run('tc', ['qdisc', 'del', 'dev', device, 'root']);
    await until(() => lacks() === null);
    assert.deepEqual(await classes(), { ...usual, b: '22Mbit of 100Mbit' });
    await network.guarantee(1, 20);

    await run('ip', ['link', 'del', device]);
    await until(() => lacks() === 'there is no device up0');
    await network.disconnect(2);
    assert.equal((await runAny('tc', ['class', 'show', 'dev', device])).code, 1);
    await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'up1']);
    await until(() => lacks() === null);
    const { c: _, ...others } = usual;
    assert.deepEqual(await classes(), others);
  });

  test('several uplinks are shaped alike, each as it is there', async () => {
    await network.close({ remove: true });
    await run('ip', ['link', 'add', 'up2', 'type', 'veth', 'peer', 'name', 'up3']);
    const subject = await openNetwork({
      instance,
      instanceNumber: 1,
      subnet,
      logger,
      resolvConfPath,
      uplinks: { devices: [device, 'up2', 'up9'], capacityMbps },
    });
    const place = world.use(await Place.create('machine'));
    await subject.prepare(9, place.fd);
    await subject.connect({ slot: 9, machine: 'm9', address: '10.80.0.10', publish: [], guaranteeMbps: 33 }, place.fd);
    assert.deepEqual(
      subject.uplinks().map(({ device: name, lacks }) => [name, lacks]),
      [
        [device, null],
        ['up2', null],
        ['up9', 'there is no device up9'],
      ],
    );
    for (const name of [device, 'up2']) assert.match(await run('tc', ['class', 'show', 'dev', name]), /ce01:a .*rate 33Mbit/);
    await subject.close({ remove: true });
    assert.doesNotMatch(await run('tc', ['qdisc', 'show']), /htb/);
    network = await open({ capacityMbps });
  });
});
