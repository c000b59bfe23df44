/** The firewall with real namespaces and real packets, at the driver: each kind of rule allowing and blocking, and every change while packets come. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Network } from '../../src/host/network/network.ts';
import { arbitraryRule, machineIds } from '../../src/model/firewall/arbitrary-rule.ts';
import { Policy } from '../../src/model/firewall/judge.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import { printRule } from '../../src/model/firewall/print.ts';
import type { FirewallMachine, OwnedRule } from '../../src/model/firewall/rule.ts';
import { seed } from '../support/seed.ts';
import { Prober, probesBetween } from './prober.ts';
import type { Probe } from './prober.ts';
import { Place, askFromHost, becomeHost, createOutside, hostAddress, outsideAddress, until } from './network-world.ts';

const subnet = '10.80.0.0/16';
const account = 'default';
const logger = createLogger({ name: 'test', level: 'fatal' });
const directory = mkdtempSync(join(tmpdir(), 'cenote-firewall-'));
const resolvConfPath = join(directory, 'resolv.conf');
writeFileSync(resolvConfPath, 'nameserver 127.0.0.1\n');
const open = (): Promise<Network> => openNetwork({ instance: 'one', instanceNumber: 1, subnet, logger, resolvConfPath });

const idOf = (index: number): string => machineIds[index]!;
const addressOf = (index: number): string => `10.80.0.${index + 4}`;
const machine = (index: number, tags: Record<string, string> = {}, firewall = true): FirewallMachine => ({
  id: idOf(index),
  account,
  address: addressOf(index),
  tags,
  firewall,
});
let ruleCount = 0;
const rule = (text: string, options: Partial<OwnedRule> = {}): OwnedRule => ({
  id: `rule-${++ruleCount}`,
  account,
  rule: parseRule(text),
  log: false,
  ...options,
});

let network: Network;
const probers: Prober[] = [];
let outside: Place;
const places: Place[] = [];
const world = new AsyncDisposableStack();

before(async () => {
  await becomeHost();
  outside = world.use(await createOutside(subnet));
  await outside.serve(90);
  network = await open();
  for (let index = 0; index < 3; index++) {
    const place = world.use(await Place.create('machine'));
    places.push(place);
    await network.prepare(index, place.fd);
    await network.connect(
      { slot: index, machine: idOf(index), address: addressOf(index), publish: index === 1 ? [{ protocol: 'tcp', hostPort: 8090, machinePort: 90 }] : [] },
      place.fd,
    );
    for (const port of [90, 91]) await place.serve(port);
    probers.push(new Prober(place));
  }
});

after(async () => {
  await network.close({ remove: true });
  assert.equal(await run('nft', ['list', 'tables']), '');
  await world.disposeAsync();
  rmSync(directory, { recursive: true });
});

const [a, b, c] = [0, 1, 2];
const answers = async ({ from, to, port, protocol }: Probe, expected: boolean): Promise<boolean> =>
  probers[from]!.askExpecting(expected, { host: addressOf(to), port, protocol });
/** Whether that is so. */
const isOpen = (from: number, to: number, port = 90): Promise<boolean> => answers({ from, to, port, protocol: 'tcp' }, true);
const isShut = async (from: number, to: number, port = 90): Promise<boolean> => !(await answers({ from, to, port, protocol: 'tcp' }, false));
const pings = async (from: number, to: string): Promise<boolean> =>
  places[from]!.run('ping', '-c', '1', '-W', '1', to).then(
    () => true,
    () => false,
  );

const probes = probesBetween([a, b, c]);

/** Packets of every kind between all machines; each has the verdict that the rules give in their plain form. How many were let through. */
const checkAll = async (rules: readonly OwnedRule[], machines: readonly FirewallMachine[]): Promise<number> => {
  await network.firewall.restore(rules, machines);
  const policy = new Policy(rules, machines);
  const expected = probes.map(
    ({ from, to, port, protocol }) => policy.judge({ from: addressOf(from), to: addressOf(to), service: { protocol, port } }).allowed,
  );
  const seen = await Promise.all(probes.map((probe, index) => answers(probe, expected[index]!)));
  assert.deepEqual(
    probes.map((probe, index) => ({ ...probe, allowed: seen[index] })),
    probes.map((probe, index) => ({ ...probe, allowed: expected[index] })),
  );
  return seen.filter(Boolean).length;
};
const set = (rules: OwnedRule[], machines: FirewallMachine[]): Promise<void> => network.firewall.restore(rules, machines);

describe('rules with real packets', () => {
  test('without the switch everything is open and there is no table', async () => {
    const open = await checkAll([rule('FROM any TO all vms BLOCK tcp PORT all')], [machine(a, {}, false), machine(b, {}, false), machine(c, {}, false)]);
    assert.equal(open, probes.length);
    assert.doesNotMatch(await run('nft', ['list', 'tables']), /firewall/);
  });

  test('with the switch nothing comes in and everything goes out', async () => {
    assert.equal(await checkAll([], [machine(a), machine(b), machine(c, {}, false)]), 8);
    assert.deepEqual(await Promise.all([pings(c, addressOf(a)), pings(a, addressOf(c)), pings(a, '10.80.0.1')]), [false, true, true]);
    assert.equal(await places[a]!.ask('tcp', outsideAddress, 90), hostAddress);
    assert.equal(await outside.ask('tcp', hostAddress, 8090), 'timeout', 'a published port is the machine, and as closed');
    assert.equal(await askFromHost('tcp', addressOf(b), 90), 'timeout', 'and so it is for the host itself');
  });

  const machines = [machine(a, { role: 'web' }), machine(b, { role: 'db' }), machine(c, {}, false)];
  const crowd = ['web', 'db'].flatMap((role, at) =>
    Array.from({ length: 5 }, (_, index): FirewallMachine => ({
      ...machine(a, { role }, false),
      id: `${role}-${index}`,
      address: `10.80.${at + 1}.${index + 2}`,
    })),
  );
  const kinds: readonly string[] = [
    `FROM vm ${idOf(c)} TO vm ${idOf(b)} ALLOW tcp PORT 90`,
    `FROM any TO vm ${idOf(b)} ALLOW tcp PORT 91`,
    'FROM tag role = web TO tag role = db ALLOW tcp PORT 90',
    'FROM tag role TO tag role ALLOW udp (PORT 90 AND PORT 91)',
    'FROM all vms TO all vms ALLOW tcp PORT 90',
    `FROM (ip ${addressOf(c)} OR ip ${addressOf(b)}) TO tag role ALLOW tcp PORTS 89 - 90`,
    'FROM subnet 10.80.0.4/31 TO tag role = db ALLOW tcp PORT all',
    'FROM any TO all vms ALLOW udp PORTS 90, 1000 - 2000',
  ];
  for (const text of kinds) {
    test(text, async () => {
      // Alone, melted with others; logging, by itself; and with tags that so many have that they are sets.
      for (const [log, others] of [
        [false, []],
        [true, []],
        [false, crowd],
      ] as const) {
        const open = await checkAll([rule(text, { log })], [...machines, ...others]);
        assert.ok(open > 8 && open < probes.length, `${open} let through`);
      }
      // Turned round, what it let in does not get out of machines that judge.
      assert.ok((await checkAll([rule(text.replace(/^FROM (.*) TO (.*) ALLOW/, 'FROM $2 TO $1 BLOCK'))], machines)) < probes.length);
    });
  }

  test('many rules by chance', async () => {
    const arbitrary = fc.array(fc.record({ rule: arbitraryRule(), log: fc.boolean() }), { minLength: 3, maxLength: 20 });
    const translated = (owned: OwnedRule): OwnedRule =>
      rule(
        printRule(owned.rule)
          .replaceAll('10.1.0.', '10.80.0.')
          .replaceAll(/PORT (?!all)\d+/g, (_, at: number) => `PORT ${90 + (at % 2)}`),
        { log: owned.log },
      );
    for (const drawn of fc.sample(arbitrary, { numRuns: 12, seed })) {
      const rules = drawn.map((one) => translated({ ...one, id: '', account }));
      await checkAll(rules, [machine(a, { role: 'web' }), machine(b, { role: 'db', tier: 'web' }), machine(c, { tier: 'db' }, rules.length % 2 === 0)]);
    }
  });

  test('a thousand rules beside', async () => {
    const beside = Array.from({ length: 1000 }, (_, index) =>
      rule(`FROM subnet 172.${index % 250}.0.0/16 TO tag role = r${index % 20} ALLOW tcp PORTS ${index + 1} - ${index + 2000}`),
    );
    const named = Array.from({ length: 100 }, (_, index) => rule(`FROM ip ${addressOf(c)} TO vm ${idOf(b)} ALLOW udp PORT ${index + 1000}`));
    assert.equal(await checkAll([...beside, ...named, rule(`FROM ip ${addressOf(c)} TO vm ${idOf(b)} ALLOW tcp PORT 90`)], machines), 9);
    const closing = rule(`FROM ip ${addressOf(c)} TO vm ${idOf(b)} BLOCK tcp PORT 90 PRIORITY 50`);
    await network.firewall.changeRules([closing], []);
    assert.ok(await isShut(c, b));
    await network.firewall.changeRules([], [closing.id]);
    assert.ok(await isOpen(c, b));
  });

  test('kinds of ICMP', async () => {
    await set([rule('FROM any TO all vms ALLOW icmp TYPE 8 CODE 0')], machines);
    assert.ok(await pings(c, addressOf(a)));
    await set([rule('FROM any TO all vms ALLOW icmp (TYPE 3 AND TYPE 8 CODE 1 AND TYPE 9 CODE 5)')], machines);
    assert.equal(await pings(c, addressOf(a)), false);
    await set([rule('FROM any TO all vms ALLOW icmp TYPE all'), rule('FROM all vms TO any BLOCK icmp TYPE 8')], machines);
    assert.deepEqual([await pings(c, addressOf(a)), await pings(a, addressOf(c)), await pings(a, '10.80.0.1')], [true, false, false]);
  });

  test('priorities, and who wins without', async () => {
    const allow = 'FROM any TO tag role ALLOW tcp PORT 90';
    const block = `FROM ip ${addressOf(c)} TO tag role BLOCK tcp PORT 90`;
    await set([rule(allow), rule(block)], machines);
    assert.ok(await isOpen(c, b), 'inbound an allow beats a block');
    await set([rule(allow), rule(`${block} PRIORITY 1`)], machines);
    assert.deepEqual([await isShut(c, b), await isOpen(a, b)], [true, true]);
    await set([rule('FROM tag role TO any BLOCK tcp PORT all'), rule('FROM tag role TO any ALLOW tcp PORT 90')], machines);
    assert.ok(await isShut(a, c), 'outbound a block beats an allow');
    await set([rule('FROM tag role TO any BLOCK tcp PORT all'), rule('FROM tag role TO any ALLOW tcp PORT 90 PRIORITY 5')], machines);
    assert.deepEqual([await isOpen(a, c), await isShut(a, c, 91)], [true, true]);
    assert.equal(await places[a]!.ask('tcp', outsideAddress, 90), hostAddress);
  });

  test('a published port is opened by its machine, for whom the rule names', async () => {
    await set([rule(`FROM ip ${outsideAddress} TO vm ${idOf(b)} ALLOW tcp PORT 90`)], machines);
    assert.equal(await outside.ask('tcp', hostAddress, 8090), outsideAddress);
    assert.ok(await isShut(c, b));
  });

  test("the operator's rules are about everybody's machines, an account's about its own", async () => {
    const strangers = [machine(a, { role: 'x' }), { ...machine(b, { role: 'x' }), account: 'other' }, machine(c, { role: 'x' }, false)];
    await checkAll([rule('FROM tag role TO tag role ALLOW tcp PORT 90')], strangers);
    assert.deepEqual([await isShut(a, b), await isShut(b, a), await isOpen(c, a)], [true, true, true]);
    await checkAll([rule('FROM tag role TO tag role ALLOW tcp PORT 90', { account: null })], strangers);
    assert.deepEqual([await isOpen(a, b), await isOpen(b, a), await isOpen(c, b)], [true, true, true]);
  });
});

describe('changes', () => {
  test('a rule, a tag and the switch take effect when they are acknowledged', async () => {
    await set([], [machine(a), machine(b), machine(c, {}, false)]);
    const web = rule('FROM tag role = web TO tag role = db ALLOW tcp PORT 90');
    const steps: readonly (readonly [what: string, change: () => Promise<void>, open: boolean])[] = [
      ['the rule', () => network.firewall.changeRules([web], []), false],
      ['the tag of the asked', () => network.firewall.setMachine(machine(b, { role: 'db' })), false],
      ['the tag of who asks', () => network.firewall.setMachine(machine(c, { role: 'web' }, false)), true],
      ['another tag', () => network.firewall.setMachine(machine(c, { role: 'webs' }, false)), false],
      ['the tag again', () => network.firewall.setMachine(machine(c, { role: 'web', more: 'x' }, false)), true],
      ['the rule gone', () => network.firewall.changeRules([], [web.id]), false],
      ['the switch off', () => network.firewall.setMachine(machine(b, { role: 'db' }, false)), true],
      ['the switch on', () => network.firewall.setMachine(machine(b, { role: 'db' })), false],
      ['the rule again', () => network.firewall.changeRules([web], []), true],
      ['who asks gone', () => network.firewall.removeMachine(idOf(c)), false],
    ];
    for (const [what, change, open] of steps) {
      await change();
      assert.ok(await (open ? isOpen(c, b) : isShut(c, b)), what);
    }
  });

  test('a flow that is no longer allowed is cut, another is not', async () => {
    const open90 = rule('FROM any TO all vms ALLOW tcp PORT 90');
    const script = `
      const s = require('node:net').connect(Number(process.argv[1]), '${addressOf(b)}', () => console.log('up'));
      s.setKeepAlive(false); s.on('data', (d) => console.log(String(d))); s.on('error', () => {});`;
    const server =
      "require('node:net').createServer((s) => { s.on('error', () => {}); setInterval(() => s.write('tick'), 20); }).listen(Number(process.argv[1]), '0.0.0.0', () => console.log('ready'))";
    await set([open90, rule('FROM any TO all vms ALLOW tcp PORTS 5000 - 5001')], [machine(b), machine(c, {}, false)]);
    const begin = async (port: number) => {
      const listening = places[b]!.follow(process.execPath, '-e', server, String(port));
      await until(() => listening.lines.length > 0);
      const talking = places[c]!.follow(process.execPath, '-e', script, String(port));
      await until(() => talking.lines.includes('tick'));
      return talking;
    };
    const [kept, lost] = [await begin(5000), await begin(5001)];
    const only5000 = rule('FROM any TO all vms ALLOW tcp PORT 5000');
    await network.firewall.restore([open90, only5000], [machine(b), machine(c, {}, false)]);
    // What had come before may be heard only now.
    const keptLines = kept.lines.length;
    await until(() => kept.lines.length > keptLines + 10);
    const lostLines = lost.lines.length;
    await until(() => kept.lines.length > keptLines + 20);
    assert.ok(lost.lines.length <= lostLines + 2, 'what was on its way at most');
  });

  test('a flow of datagrams that is cut does not come back by an answer on its way', async () => {
    // Answers come late, so that there is always one on its way when the flow is cut.
    const late =
      "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m, f) => setTimeout(() => u.send(m, f.port, f.address), 60)); u.bind(93, () => console.log('ready'))";
    const talk = `const u = require('node:dgram').createSocket('udp4'); u.on('message', () => console.log('heard')); u.on('error', () => {}); u.bind(4093, () => setInterval(() => u.send('x', 93, '${addressOf(b)}'), 5));`;
    const opened = rule('FROM any TO all vms ALLOW udp PORT 93');
    await set([opened], [machine(b), machine(c, {}, false)]);
    const listening = places[b]!.follow(process.execPath, '-e', late);
    await until(() => listening.lines.length > 0);
    const talking = places[c]!.follow(process.execPath, '-e', talk);
    await until(() => talking.lines.length > 20);
    for (let round = 0; round < 3; round++) {
      await network.firewall.changeRules([], [opened.id]);
      await sleep(300); // what was on its way has come, or has not
      const heard = talking.lines.length;
      await sleep(300);
      assert.equal(talking.lines.length, heard);
      await network.firewall.changeRules([opened], []);
      await until(() => talking.lines.length > heard + 20);
    }
  });

  test('what came before the agent stays in force, and is put right', async () => {
    const web = rule('FROM tag role = web TO all vms ALLOW tcp PORT 90');
    const now = [machine(a, { role: 'web' }), machine(b), machine(c, {}, false)];
    await set([web], now);
    await network.close({ remove: false });
    assert.deepEqual([await isOpen(a, b), await isShut(c, b)], [true, true], 'without an agent');
    await run('nft', ['flush', 'chain', 'inet', 'cenote-one-firewall', 'forward']);
    assert.deepEqual([await isOpen(c, b)], [true], 'spoilt by somebody');
    network = await open();
    await network.restore(
      places.map((place, index) => ({ slot: index, machine: idOf(index), address: addressOf(index), publish: [], pid: place.pid, ceilingMbps: null })),
      [],
    );
    await set([web], now);
    assert.deepEqual([await isOpen(a, b), await isShut(c, b)], [true, true]);
    // Somebody's change is found at the next of ours.
    await run('nft', ['delete', 'table', 'inet', 'cenote-one-firewall']);
    await network.firewall.setMachine(machine(c, { role: 'web' }, false));
    assert.deepEqual([await isOpen(a, b), await isOpen(c, b), await isShut(c, b, 91)], [true, true, true]);
  });
});
