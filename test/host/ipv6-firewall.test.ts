/** The firewall on a network of IPv6, with real namespaces and real packets, at the driver. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { run } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Network } from '../../src/host/network/network.ts';
import { arbitraryRule, machineIds } from '../../src/model/firewall/arbitrary-rule.ts';
import { Policy } from '../../src/model/firewall/judge.ts';
import { parseRule } from '../../src/model/firewall/parse.ts';
import { printRule } from '../../src/model/firewall/print.ts';
import type { FirewallMachine, OwnedRule } from '../../src/model/firewall/rule.ts';
import type { Nic } from '../../src/model/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { seed } from '../support/seed.ts';
import { connection, define, driverFiles, logger, on, settleIn, subnet } from './driver-world.ts';
import type { Settled } from './driver-world.ts';
import { becomeHost, until } from './network-world.ts';
import type { Place } from './network-world.ts';
import { Prober, probesBetween } from './prober.ts';
import { talk } from './talker.ts';

const { instance, resolvConfPath, tidy } = driverFiles('sixwall');
const blueNet = define(1, 'blue', { subnet: 'fd00:10::/64', gateway: 'fd00:10::1' });

describe('the firewall of IPv6', () => {
  let network: Network;
  const world = new AsyncDisposableStack();
  const machines: Settled = new Map();
  const place = (name: string): Place => machines.get(name)!.place;

  before(async () => {
    await becomeHost();
    network = await openNetwork({ instance, instanceNumber: 8, subnet, logger, resolvConfPath, routerLingerMs: 20 });
    await network.define(blueNet);
    const settle = (...made: Parameters<typeof connection>): Promise<Place> => settleIn(world, network, machines, connection(...made));
    await settle(1, 'blue-a', [on(blueNet.id, 'fd00:10::5')]);
    await settle(2, 'blue-b', [on(blueNet.id, 'fd00:10::6')]);
    await settle(3, 'both', [on(externalNetwork, '10.80.0.5'), on(blueNet.id, 'fd00:10::8', 1, false)]);
    for (const { place: machine } of machines.values()) await machine.serve(90, '::');
  });

  after(async () => {
    await network.close({ remove: true });
    assert.equal(await run('nft', ['list', 'tables']), '');
    await world.disposeAsync();
    tidy();
  });

  test('the firewall holds', async () => {
    const rule = (text: string): OwnedRule => ({ id: text, account: 'blue', rule: parseRule(text), log: false });
    const machine = (name: string, nics: readonly Nic[], tags = {}): FirewallMachine => {
      const id = `00000000-0000-4000-b000-0000000000${name}`;
      return { id, account: 'blue', address: nics.find(({ primary }) => primary)!.address, nics, tags, firewall: true };
    };
    const [blueA, blueB] = [
      machine('0a', [on(blueNet.id, 'fd00:10::5')], { role: 'db' }),
      { ...machine('0b', [on(blueNet.id, 'fd00:10::6')], { role: 'web' }), firewall: false },
    ];
    const both = { ...machine('0c', [on(externalNetwork, '10.80.0.5'), on(blueNet.id, 'fd00:10::8', 1, false)]), firewall: false };
    const asked = (name: string) => place(name).ask('tcp', 'fd00:10::5', 90);
    const pings = async () => / 1 received/.test(await place('blue-b').run('sh', '-c', 'ping -c1 -W1 fd00:10::5 || true'));
    await network.firewall.restore([rule('FROM tag role = web TO tag role = db ALLOW tcp PORT 90')], [blueA, blueB, both]);
    assert.deepEqual([await asked('blue-b'), await asked('both'), await pings()], ['fd00:10::6', 'timeout', false]);
    await network.firewall.changeRules([rule('FROM any TO tag role = db ALLOW icmp TYPE ALL')], []);
    assert.equal(await pings(), false, 'IPv6 has an ICMP of its own');
    await network.firewall.changeRules(
      [rule('FROM any TO tag role = db ALLOW icmp6 TYPE 128'), rule('FROM ip fd00:10::8 TO tag role = db ALLOW tcp PORT 90')],
      [],
    );
    assert.deepEqual([await asked('both'), await pings()], ['fd00:10::8', true]);
    await network.firewall.changeRules([rule('FROM subnet fd00:10::/64 TO tag role = db BLOCK tcp PORT 90 PRIORITY 1')], []);
    assert.deepEqual([await asked('blue-b'), await asked('both')], ['timeout', 'timeout']);
    await network.firewall.restore([], []);
    assert.equal(await asked('both'), 'fd00:10::8');
  });

  test('rules by chance give packets the verdict that they have in their plain form', async () => {
    const names = ['blue-a', 'blue-b', 'both'];
    const [addressOf, idOf] = [(index: number) => ['fd00:10::5', 'fd00:10::6', 'fd00:10::8'][index]!, (index: number) => machineIds[index]!];
    for (const name of names) await place(name).serve(91, '::');
    const probers = names.map((name) => new Prober(place(name)));
    const probes = probesBetween([0, 1, 2]);
    const arbitrary = fc.array(fc.record({ rule: arbitraryRule({ families: [6] }), log: fc.boolean() }), { minLength: 3, maxLength: 20 });
    const machine = (index: number, tags: Record<string, string>, firewall = true): FirewallMachine => {
      const address = addressOf(index);
      return { id: idOf(index), account: 'blue', address, nics: [on(blueNet.id, address)], tags, firewall };
    };
    let [open, shut] = [0, 0];
    for (const drawn of fc.sample(arbitrary, { numRuns: 8, seed })) {
      const rules = drawn.map(({ rule, log }, index): OwnedRule => {
        const text = printRule(rule)
          .replaceAll(/ip fd00::(\d)\b(?!:)/gi, (_, digit: string) => `ip ${addressOf(Number(digit) % 3)}`)
          .replaceAll(/subnet fd00::\/\d+/gi, 'subnet fd00:10::4/127')
          .replaceAll(/PORT (?!all)\d+/g, (_, at: number) => `PORT ${90 + (at % 2)}`);
        return { id: `drawn-${index}`, account: 'blue', rule: parseRule(text), log };
      });
      const all = [machine(0, { role: 'web' }), machine(1, { role: 'db', tier: 'web' }), machine(2, { tier: 'db' }, rules.length % 2 === 0)];
      await network.firewall.restore(rules, all);
      const policy = new Policy(rules, all);
      const expected = probes.map(
        ({ from, to, port, protocol }) => policy.judge({ from: addressOf(from), to: addressOf(to), service: { protocol, port } }).allowed,
      );
      const seen = await Promise.all(
        probes.map(({ from, to, ...service }, index) => probers[from]!.askExpecting(expected[index]!, { host: addressOf(to), ...service })),
      );
      assert.deepEqual(seen, expected, rules.map(({ rule }) => printRule(rule)).join('\n'));
      open += seen.filter(Boolean).length;
      shut += seen.filter((answered) => !answered).length;
    }
    assert.ok(open > 8 && shut > 8, `${open} let through, ${shut} not`);
    await network.firewall.restore([], []);
  });

  test('a flow that a rule no longer allows is cut', async () => {
    const talker = await talk(place('blue-b'), place('blue-a'), 'fd00:10::5', 92);
    const machine: FirewallMachine = {
      id: '00000000-0000-4000-b000-00000000000a',
      account: 'blue',
      address: 'fd00:10::5',
      nics: [on(blueNet.id, 'fd00:10::5')],
      tags: {},
      firewall: true,
    };
    const allow: OwnedRule = { id: 'allow', account: 'blue', rule: parseRule(`FROM any TO vm ${machine.id} ALLOW tcp PORT 92`), log: false };
    await network.firewall.restore([allow], [machine]);
    const seen = talker.lines.length;
    await until(() => talker.lines.length > seen + 5);
    await network.firewall.changeRules([], [allow.id]);
    // What had been said before is heard later on a busy host; it would go on every few ms.
    let last = -1;
    for (let look = 0; look < 100 && talker.lines.length !== last; look += 1) {
      last = talker.lines.length;
      await sleep(50);
    }
    await sleep(100);
    assert.equal(talker.lines.length, last);
    await network.firewall.restore([], []);
  });
});
