/** What the packet filter is told means what the rules mean: both are asked about random packets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { contains, parseAddress, wholeAddress } from '../address.ts';
import type { Family } from '../address.ts';
import { addresses, addresses6, arbitraryRule, machineIds, tagNames, tagValues } from './arbitrary-rule.ts';
import { LevelCompiler, levelKeysOf, levelsFor, membershipKey, membershipKeysOf } from './compile.ts';
import type { Class, Level, Places } from './compile.ts';
import type { Element } from './elements.ts';
import { addressesOf } from '../nics.ts';
import { Policy } from './judge.ts';
import type { Packet, PacketService } from './judge.ts';
import { parseRule, parseSubnet } from './parse.ts';
import { defaultAction } from './rule.ts';
import type { Direction, FirewallMachine, OwnedRule } from './rule.ts';

const compileAll = (rules: readonly OwnedRule[], places: Places): Level[] =>
  [...new Set(rules.flatMap((owned) => levelKeysOf(owned, places.family)))].map((key) =>
    new LevelCompiler(key).compile(
      rules.filter((owned) => levelKeysOf(owned, places.family).includes(key)),
      places,
    ),
  );

/** A packet filter as the compiled form takes it to be. */
class Filter {
  readonly #levels: Level[];
  readonly #members = new Map<string, Set<string>>();
  readonly #machines: Map<string, FirewallMachine>;

  constructor(family: Family, rules: readonly OwnedRule[], machines: readonly FirewallMachine[], few: number) {
    this.#machines = new Map(machines.map((machine) => [machine.address, machine]));
    for (const machine of machines)
      for (const key of membershipKeysOf(machine)) this.#members.set(key, (this.#members.get(key) ?? new Set()).add(machine.address));
    this.#levels = compileAll(rules, {
      family,
      addressesOf: (id, account) => machines.filter((machine) => machine.id === id && (account === null || machine.account === account)).flatMap(addressesOf),
      fewOf: (membership) => {
        const addressesOf = this.#members.get(membershipKey(membership)) ?? new Set();
        return addressesOf.size <= few ? [...addressesOf] : null;
      },
    });
  }

  passes(packet: Packet): boolean {
    return this.#passesAt('out', packet.from, packet.to, packet.service) && this.#passesAt('in', packet.to, packet.from, packet.service);
  }

  #passesAt(direction: Direction, local: string, remote: string, service: PacketService): boolean {
    const machine = this.#machines.get(local);
    if (machine?.firewall !== true) return true;
    const decides = levelsFor(machine.account, direction, this.#levels).find((level) => this.#matches(level, local, remote, service));
    return (decides?.action ?? defaultAction[direction]) === 'allow';
  }

  #matches(level: Level, local: string, remote: string, service: PacketService): boolean {
    const isIn = (one: Class, address: string, named: boolean): boolean =>
      one.kind === 'members' ? this.#members.get(membershipKey(one.of))?.has(address) === true : one.kind === 'everyone' || named;
    for (const cell of level.cells) {
      const hits = cell.elements.filter((element) => isElement(element, local, remote, service));
      assert.ok(hits.length <= 1, 'elements overlap');
      if (hits.length === 1 && isIn(cell.local, local, true) && isIn(cell.remote, remote, true)) return true;
    }
    return level.singles.some((single) => {
      const holds = (addressTexts: readonly string[], address: string) => addressTexts.filter((text) => inSubnet(text, address)).length === 1;
      return (
        single.local.classes.some((one) => isIn(one, local, holds(single.local.addresses, local))) &&
        single.remote.classes.some((one) => isIn(one, remote, holds(single.remote.addresses, remote))) &&
        single.services.filter((element) => isElement(element, local, remote, service)).length === 1
      );
    });
  }
}

const inSubnet = (text: string, address: string): boolean =>
  contains(text.includes('/') ? parseSubnet(text) : wholeAddress(parseAddress(text)!), parseAddress(address)!);

const isElement = (element: Element, local: string, remote: string, service: PacketService): boolean => {
  const number = 'port' in service ? service.port : 'type' in service ? service.type * 256 + service.code : 0;
  return (
    element.protocol === service.protocol &&
    element.from <= number &&
    number <= element.to &&
    (element.local === null || element.local === local) &&
    (element.remote === null || inSubnet(element.remote, remote))
  );
};

const accounts = ['one', 'two'];

const families = [4, 6] as const;
const worlds: Readonly<Record<Family, { addresses: readonly string[]; stranger: string }>> = {
  4: { addresses, stranger: '203.0.113.1' },
  6: { addresses: addresses6, stranger: '2001:db8:1::1' },
};

const arbitraryMachines = (family: Family) =>
  fc
    .array(
      fc.record({
        account: fc.constantFrom(...accounts),
        tags: fc.dictionary(fc.constantFrom(...tagNames), fc.constantFrom<string | number | boolean>(...tagValues, 7, true)),
        firewall: fc.boolean(),
      }),
      { maxLength: 6 },
    )
    .map((all): FirewallMachine[] => all.map((machine, index) => ({ ...machine, id: machineIds[index]!, address: worlds[family].addresses[index]! })));

const arbitraryRules = fc
  .array(
    fc.record({
      account: fc.constantFrom(null, ...accounts),
      rule: fc.oneof({ weight: 5, arbitrary: arbitraryRule({ families }) }, { weight: 1, arbitrary: arbitraryRule({ families, mostTargets: 24 }) }),
      log: fc.nat({ max: 9 }).map((chance) => chance === 0),
    }),
    { maxLength: 12 },
  )
  .map((all): OwnedRule[] => all.map((owned, index) => ({ ...owned, id: `rule-${String(index).padStart(2, '0')}` })));

const arbitraryPacket = (family: Family): fc.Arbitrary<Packet> => {
  const { addresses: known, stranger } = worlds[family];
  return fc.record({
    from: fc.constantFrom(...known, stranger),
    to: fc.constantFrom(...known, stranger),
    service: fc.oneof(
      fc.record({
        protocol: fc.constantFrom('tcp' as const, 'udp' as const),
        port: fc.oneof(fc.integer({ min: 1, max: 14 }), fc.constant(0), fc.integer({ min: 1, max: 65_535 })),
      }),
      fc.record({
        protocol: fc.constant(family === 4 ? ('icmp' as const) : ('icmp6' as const)),
        type: fc.constantFrom(0, 3, 4, 8, 11),
        code: fc.constantFrom(0, 1, 2, 3),
      }),
      fc.record({ protocol: fc.constantFrom('ah' as const, 'esp' as const) }),
    ),
  });
};

describe('the compiled form', () => {
  for (const family of families)
    it(`gives the verdict that the rules give, of IPv${family}`, () => {
      let blocked = 0;
      let decided = 0;
      fc.assert(
        fc.property(
          arbitraryRules,
          arbitraryMachines(family),
          fc.nat(3),
          fc.array(arbitraryPacket(family), { minLength: 40, maxLength: 40 }),
          (rules, machines, few, packets) => {
            const policy = new Policy(rules, machines);
            const filter = new Filter(family, rules, machines, few);
            for (const packet of packets) {
              const verdict = policy.judge(packet);
              if (!verdict.allowed) blocked += 1;
              decided += verdict.judgements.filter(({ rule }) => rule !== null).length;
              assert.equal(filter.passes(packet), verdict.allowed, JSON.stringify({ packet, verdict }));
            }
          },
        ),
        { numRuns: 400 },
      );
      assert.ok(blocked > 100 && decided > 100, `the trials try something: ${blocked} blocked, ${decided} decided by a rule`);
    });

  it('asks one question about a thousand rules on single machines', () => {
    const rules = Array.from({ length: 1000 }, (_, index): OwnedRule => {
      const id = `${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`;
      return { id, account: 'one', rule: parseRule(`FROM ip 192.0.2.7 TO vm ${id} ALLOW tcp PORT 80`), log: false };
    });
    const levels = compileAll(rules, {
      family: 4,
      addressesOf: (id) => [`10.1.${Math.floor(Number(id.slice(0, 8)) / 250)}.${Number(id.slice(0, 8)) % 250}`],
      fewOf: () => null,
    });
    assert.equal(levels.length, 1);
    assert.equal(levels[0]!.cells.length, 1);
    assert.equal(levels[0]!.cells[0]!.elements.length, 1000);
    assert.equal(levels[0]!.singles.length, 0);
  });

  it('leaves out what only says the default', () => {
    const owned = (text: string): OwnedRule => ({ id: text, account: 'one', rule: parseRule(text), log: false });
    const levels = compileAll([owned('FROM tag a TO tag b ALLOW tcp PORT 1'), owned('FROM tag a TO tag b BLOCK tcp PORT 2')], {
      family: 4,
      addressesOf: () => [],
      fewOf: () => null,
    });
    assert.deepEqual(
      (['in', 'out'] as const).map((direction) => levelsFor('one', direction, levels).map(({ action }) => action)),
      [['allow'], ['block']],
    );
    assert.deepEqual(levelsFor('two', 'in', levels), []);
  });
});
