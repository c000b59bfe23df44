/** Flows between machines that go past the usual way (src/host/network/flow-cache), with real packets: that they do, and that nobody notices. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../src/exec/run.ts';
import { FlowCache } from '../../src/host/network/flow-cache/flow-cache.ts';
import type { Connection, Network } from '../../src/host/network/network.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import type { FirewallMachine, OwnedRule } from '../../src/model/firewall/rule.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { connection, countersOf, define, driverFiles, idOf, logger, on, settleIn, subnet } from './driver-world.ts';
import type { Settled } from './driver-world.ts';
import { becomeHost, checksum, createOutside, hostAddress, until } from './network-world.ts';
import type { Place } from './network-world.ts';
import { datagram, ethernet, packet4, packet6, protocols } from './raw-packets.ts';

const obstacle = async (): Promise<string | false> => {
  try {
    (await FlowCache.open())[Symbol.dispose]();
    return false;
  } catch (error) {
    return `this kernel has not what it takes: ${String(error)}`;
  }
};
const skip = process.getuid?.() === 0 ? await obstacle() : 'needs root';

const { instance, resolvConfPath, routers, tidy } = driverFiles('cached');
const open = (): Promise<Network> => openNetwork({ instance, instanceNumber: 4, subnet, logger, resolvConfPath });
const port = 91;
const sourcePort = 4444;
const ip4 = 0x0800;

/** Sends numbers, a thousand a second, from one port to another; says for each line it reads how many they were, or ends. */
const sender = `const [to, port, from] = process.argv.slice(1); const u = require('node:dgram').createSocket('udp4'); let sent = 0;
  u.bind(Number(from), () => u.connect(Number(port), to, () => setInterval(() => { for (let i = 0; i < 5; i++) u.send(String(sent++)); }, 5)));
  u.on('error', () => {}); u.on('message', () => {});
  require('node:readline').createInterface(process.stdin).on('line', (line) => (line === 'end' ? process.exit() : console.log(sent)));`;
/** Says for each line it reads how many have come, of which so many late, and the last; and answers the last sender. */
const receiver = `const u = require('node:dgram').createSocket({ type: 'udp4', recvBufferSize: 4194304 }); let [count, late, last, from, texts] = [0, 0, -1, null, []];
  u.on('message', (m, sender) => { const number = Number(m); from = sender; if (Number.isNaN(number)) { texts.push(String(m)); return; } count++; if (number < last) late++; else last = number; });
  u.bind(Number(process.argv[1]), () => console.log('ready'));
  require('node:readline').createInterface(process.stdin).on('line', (line) => { if (line !== '') u.send(line, from.port, from.address); console.log(JSON.stringify({ count, late, last, texts })); });`;

/** Writes each frame that comes in at a link as a line of hexadecimal digits. */
const watcher =
  'socket(my $s, 17, 3, 768) or die $!; $| = 1; print "ready\\n"; while (my $from = recv($s, my $data, 2048, 0)) { print unpack("H*", $data), "\\n" if (unpack("x10C", $from) == 0) }';

interface Received {
  count: number;
  late: number;
  last: number;
  texts: string[];
}

interface Follower {
  lines: string[];
  write: (line: string) => void;
}

const told = async ({ lines, write }: Follower, line = ''): Promise<string> => {
  const before = lines.length;
  write(line);
  await until(() => lines.length > before);
  return lines.at(-1)!;
};

describe('flows that go past the usual way', { skip }, () => {
  let network: Network;
  const world = new AsyncDisposableStack();
  const machines: Settled = new Map();
  const settle = (made: Connection): Promise<Place> => settleIn(world, network, machines, made);
  const place = (name: string): Place => machines.get(name)!.place;
  const received = async (of: Follower): Promise<Received> => JSON.parse(await told(of)) as Received;
  const receive = async (name: string, at = port): Promise<Follower> => {
    const listening = place(name).follow(process.execPath, '-e', receiver, String(at));
    await until(() => listening.lines.includes('ready'));
    return listening;
  };
  const send = (name: string, to: string, at = port, from = sourcePort): Follower =>
    place(name).follow(process.execPath, '-e', sender, to, String(at), String(from));
  const sentBy = async (from: Follower): Promise<number> => Number(await told(from));
  /** So that it is not among what later tests count. */
  const end = (from: Follower): void => from.write('end');
  /** By the numbers it sends, since a receiver may be behind with reading: all that comes was sent before this was asked. */
  const nothingMoreComes = async (from: Follower, to: Follower, ms: number): Promise<void> => {
    const sent = await sentBy(from);
    await sleep(ms);
    const { last } = await received(to);
    assert.ok(last < sent, `${last} came, and ${sent} were sent when it was blocked`);
    assert.ok((await sentBy(from)) > sent, 'it goes on sending');
  };
  const comes = async (to: Follower): Promise<boolean> => {
    const before = await received(to);
    await sleep(100);
    return (await received(to)).count > before.count;
  };
  /** Packets that have gone out by the host's end of a link: those that went the usual way. */
  const bySlowWay = async (slot: number, network?: string): Promise<number> => {
    const show = ['ip', '-j', '-s', 'link', 'show', `cn4v${slot}`];
    const router = network === undefined ? [] : [`--net=${routers}/${readdirSync(routers).find((name) => name.endsWith(network))!}`];
    const [link] = JSON.parse(await run('nsenter', [...router, ...show])) as [{ stats64: { tx: { packets: number } } }];
    return link.stats64.tx.packets;
  };
  const frame = (from: string, to: string, payload: string, more: { mac?: string; ttl?: number } = {}): Buffer =>
    ethernet(
      more.mac ?? from,
      '10.80.0.1',
      ip4,
      packet4({
        source: from,
        destination: to,
        protocol: protocols.udp,
        content: datagram(from, to, { from: sourcePort, to: port }, payload),
        ...(more.ttl === undefined ? {} : { ttl: more.ttl }),
      }),
    );
  const guarded = (number: number, address: string, firewall = true): FirewallMachine => ({ id: idOf(number), account: 'blue', address, tags: {}, firewall });
  const rule = (text: string): OwnedRule => ({ id: text, account: 'blue', rule: parseRule(text), log: false });

  before(async () => {
    await becomeHost();
    world.use(await createOutside(subnet));
    network = await open();
    await settle(connection(1, 'a', [on(externalNetwork, '10.80.0.5')]));
    await settle(connection(2, 'b', [on(externalNetwork, '10.80.0.6')]));
    await settle(connection(3, 'c', [on(externalNetwork, '10.80.0.7')]));
  });

  after(async () => {
    await network.close({ remove: true });
    await world.disposeAsync();
    tidy();
  });

  test('a flow that is let through goes past it from its second packet on, but for one each second; each is counted where the machine sees it', async () => {
    const to = await receive('b');
    const [slow, { receivedBytes }] = [await bySlowWay(2), await network.traffic(2)];
    const from = send('a', '10.80.0.6');
    await until(async () => (await received(to)).count > 3000);
    const { count, last } = await received(to);
    assert.ok(count >= last, `${count} came, and the last was number ${last}`);
    const usual = (await bySlowWay(2)) - slow;
    assert.ok(usual >= 3 && usual < count / 20, `${usual} of ${count} packets went the usual way`);
    const counted = (await network.traffic(2)).receivedBytes - receivedBytes;
    assert.ok(counted >= count * 43, `${counted} bytes were counted of ${count} packets of 43 bytes and more`);
    assert.equal((await sentBy(from)) > 3000, true);
    end(from);
  });

  test('who forges what is known is not taken for it', async () => {
    const to = await receive('b', 92);
    const known = send('a', '10.80.0.6', 92, 4445);
    await until(async () => (await received(to)).count > 100);
    const forged = (from: string, source: string, mac: string, payload: string): void =>
      place(from).sendFrame(
        ethernet(
          mac,
          '10.80.0.1',
          ip4,
          packet4({ source, destination: '10.80.0.6', protocol: protocols.udp, content: datagram(source, '10.80.0.6', { from: 4445, to: 92 }, payload) }),
        ),
      );
    const [before] = await countersOf({ routers, instance, network: externalNetwork }, 'spoofed');
    forged('c', '10.80.0.5', '10.80.0.7', 'of another machine');
    forged('c', '10.80.0.5', '10.80.0.5', 'of another machine, its MAC too');
    forged('a', '10.80.0.5', '10.80.0.7', 'under another MAC');
    forged('a', '10.80.0.5', '10.80.0.5', 'itself');
    await until(async () => (await received(to)).texts.includes('itself'));
    assert.deepEqual((await received(to)).texts, ['itself']);
    const [now] = await countersOf({ routers, instance, network: externalNetwork }, 'spoofed');
    assert.equal(now! - before!, 3);
    assert.ok((await sentBy(known)) > 0);
    end(known);
  });

  test('what is translated on its way is never known, so that nobody can be it', async () => {
    const to = await receive('b', 97);
    await network.publish({ ...machines.get('b')!.connection, publish: [{ protocol: 'udp', hostPort: 8097, machinePort: 97 }] });
    const translated = send('a', hostAddress, 8097, 4450);
    await until(async () => (await received(to)).count > 100);
    const [slow, before] = [await bySlowWay(2), await sentBy(translated)];
    await sleep(300);
    const [now, { count }] = [await sentBy(translated), await received(to)];
    assert.ok((await bySlowWay(2)) - slow >= now - before - 20, 'all of it by the usual way');
    // As it leaves when it is translated, but not as it came: a flow of its own, and that one may be known.
    const direct = send('a', '10.80.0.6', 97, 4451);
    await until(async () => (await received(to)).count > count + 600);
    for (const from of [translated, direct]) end(from);
    await network.publish(machines.get('b')!.connection);
  });

  test('hops are counted, and where none is left the sender is told', async () => {
    const to = await receive('c');
    place('a').sendFrame(frame('10.80.0.5', '10.80.0.7', 'first'));
    await until(async () => (await received(to)).texts.length === 1);
    const watched = place('c').follow('perl', '-e', watcher);
    await until(() => watched.lines.includes('ready'));
    for (const ttl of [64, 2, 1]) place('a').sendFrame(frame('10.80.0.5', '10.80.0.7', `with ${ttl}`, { ttl }));
    await until(async () => (await received(to)).texts.length === 3); // the first, and those with hops left
    const frames = (): Buffer[] =>
      watched.lines.map((line) => Buffer.from(line, 'hex')).filter((one) => one.includes(`with `) && one[14 + 9] === protocols.udp);
    await until(() => frames().length === 2);
    assert.deepEqual(
      frames().map((one) => one[14 + 8]),
      [63, 1],
    );
    for (const one of frames()) assert.equal(checksum(one.subarray(14, 34)), 0, 'of the header');
  });

  test('a rule that blocks what is under way, a ceiling and the loss of an address hold from the moment they are acknowledged', async () => {
    const to = await receive('b', 93);
    const from = send('a', '10.80.0.6', 93, 4446);
    await until(async () => (await received(to)).count > 100);
    const machinesNow = [guarded(1, '10.80.0.5', false), guarded(2, '10.80.0.6')];
    await network.firewall.restore([rule('FROM any TO all vms ALLOW udp PORT 93')], machinesNow);
    assert.equal(await comes(to), true);
    for (let round = 0; round < 5; round += 1) {
      await network.firewall.changeRules([], ['FROM any TO all vms ALLOW udp PORT 93']);
      await nothingMoreComes(from, to, 60);
      await network.firewall.changeRules([rule('FROM any TO all vms ALLOW udp PORT 93')], []);
      await until(() => comes(to));
    }
    await network.firewall.restore([], []);
    await until(() => comes(to));

    // Bytes of what waits in the queue are few beside what comes in half a second.
    await network.limit(2, place('b').pid, 1);
    const slow = await bySlowWay(2);
    const sent = await sentBy(from);
    await sleep(300);
    const [after, afterSlow] = [await sentBy(from), await bySlowWay(2)];
    assert.ok(afterSlow - slow >= after - sent - 100, `${after - sent} were sent, ${afterSlow - slow} by the queue`);
    await network.limit(2, place('b').pid, null);
    await until(async () => {
      const [slowBefore, before] = [await bySlowWay(2), await received(to)];
      await sleep(200);
      return (await received(to)).count - before.count > 100 && (await bySlowWay(2)) - slowBefore < 20;
    });
    end(from);
  });

  test('who has the address next has the flow, and the former one has nothing of it', async () => {
    const four = await settle(connection(4, 'd', [on(externalNetwork, '10.80.0.8')]));
    const former = await receive('d');
    const from = send('a', '10.80.0.8', port, 4447);
    await until(async () => (await received(former)).count > 100);
    await network.disconnect(4);
    const sent = await sentBy(from);
    await settle(connection(5, 'e', [on(externalNetwork, '10.80.0.8')]));
    const next = await receive('e');
    await until(async () => (await received(next)).count > 100);
    assert.ok((await received(former)).last < sent);
    end(from);
    assert.ok(four.pid > 0);
  });

  test('so it is on networks of IPv6', async () => {
    const six = define(6, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });
    await network.define(six);
    const [nine, eight] = [await settle(connection(9, 'nine', [on(six.id, 'fd00:10::9')])), await settle(connection(8, 'eight', [on(six.id, 'fd00:10::8')]))];
    const watched = eight.follow('perl', '-e', watcher);
    await until(() => watched.lines.includes('ready'));
    const content = datagram('fd00:10::9', 'fd00:10::8', { from: sourcePort, to: port }, 'six');
    const send6 = (ttl: number): void =>
      nine.sendFrame(
        ethernet('fd00:10::9', 'fd00:10::1', 0x86dd, packet6({ source: 'fd00:10::9', destination: 'fd00:10::8', protocol: protocols.udp, content, ttl })),
      );
    const hops = (): number[] =>
      watched.lines.flatMap((line) => {
        const bytes = Buffer.from(line, 'hex');
        return bytes[14 + 6] === protocols.udp && bytes.includes('six') ? [bytes[14 + 7]!] : [];
      });
    const slow = await bySlowWay(8, six.id);
    for (let ttl = 10; ttl > 0; ttl -= 1) send6(ttl);
    await until(() => hops().length === 9);
    assert.deepEqual(hops(), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const usual = (await bySlowWay(8, six.id)) - slow;
    assert.ok(usual < 9, `${usual} of 9 packets went the usual way`);
    await network.firewall.restore([], [{ ...guarded(8, 'fd00:10::8'), nics: [on(six.id, 'fd00:10::8')] }]);
    send6(64);
    await sleep(60);
    assert.equal(hops().length, 9, 'what is blocked is not known any more');
    await network.firewall.restore([], []);
    for (const [slot, name] of [
      [9, 'nine'],
      [8, 'eight'],
    ] as const) {
      await network.disconnect(slot);
      machines.delete(name);
    }
  });

  test('an agent that comes back loses nothing of what is under way, and while there is none all goes the usual way', async () => {
    const to = await receive('c', 94);
    const from = send('a', '10.80.0.7', 94, 4448);
    await until(async () => (await received(to)).count > 500);
    await network.close({ remove: false });
    await until(async () => {
      const [slowBefore, before] = [await bySlowWay(3), await received(to)];
      await sleep(200);
      return (await bySlowWay(3)) - slowBefore >= ((await received(to)).count - before.count) * 0.9;
    }, 20_000);
    network = await open();
    const kept = [...machines.values()].filter(({ connection: { slot } }) => slot !== 4);
    await network.restore(
      kept.map(({ place: { pid }, connection: made }) => ({ ...made, pid, ceilingMbps: null })),
      [],
    );
    await until(async () => {
      const [slowBefore, before] = [await bySlowWay(3), await received(to)];
      await sleep(200);
      return (await received(to)).count - before.count > 100 && (await bySlowWay(3)) - slowBefore < 20;
    });
    const { count, last } = await received(to);
    assert.ok(count >= last, `${count} came, and the last was number ${last}`);
    assert.ok((await sentBy(from)) > 0);
    end(from);
  });

  test('the kernel does not take for idle what goes past it: answers are let in for as long as somebody asks', async () => {
    for (const name of ['udp_timeout', 'udp_timeout_stream']) writeFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, '3');
    await network.firewall.restore([], [guarded(1, '10.80.0.5')]);
    const to = await receive('b', 95);
    const heard = place('a').follow('perl', '-e', watcher);
    await until(() => heard.lines.includes('ready'));
    send('a', '10.80.0.6', 95, 4449);
    await sleep(5000);
    await told(to, 'answer');
    await until(() => heard.lines.some((line) => Buffer.from(line, 'hex').includes('answer')));
  });
});
