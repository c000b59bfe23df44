/** The firewall's table in a real kernel: whatever the changes and their order, it holds what a table loaded at once holds, and no change is refused. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { createLogger } from '../../src/base/logger.ts';
import { runAny } from '../../src/exec/run.ts';
import { FirewallTable } from '../../src/host/network/firewall/firewall.ts';
import { parseSubnet } from '../../src/model/subnet.ts';
import { arbitraryRule, machineIds, tagNames, tagValues } from '../../src/model/firewall/arbitrary-rule.ts';
import type { FirewallMachine, OwnedRule } from '../../src/model/firewall/rule.ts';
import { Nftables } from '../../src/sys/nftables.ts';
import { becomeHost } from './network-world.ts';

before(becomeHost);

const accounts = ['one', 'two'];
const families = [4, 6] as const;

type Step =
  | { kind: 'rule'; rule: OwnedRule }
  | { kind: 'no rule'; id: string }
  | { kind: 'machine'; machine: FirewallMachine }
  | { kind: 'no machine'; id: string };

/** More than rules name one by one, so that tags are had by few and by many. */
const idOf = (index: number): string => machineIds[index] ?? `machine-${index}`;

const ruleId = fc.integer({ min: 0, max: 15 }).map((index) => `rule-${index}`);
const arbitraryStep = (address: (index: number) => string): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('rule' as const),
        rule: fc.record({
          id: ruleId,
          account: fc.constantFrom(null, ...accounts),
          rule: fc.oneof({ weight: 4, arbitrary: arbitraryRule({ families }) }, { weight: 1, arbitrary: arbitraryRule({ families, mostTargets: 24 }) }),
          log: fc.nat(7).map((chance) => chance === 0),
        }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('no rule' as const), id: ruleId }) },
    {
      weight: 4,
      arbitrary: fc
        .record({
          index: fc.nat(11),
          account: fc.constantFrom(...accounts),
          tags: fc.dictionary(fc.constantFrom(...tagNames), fc.constantFrom(...tagValues)),
          firewall: fc.boolean(),
        })
        .map(({ index, ...rest }) => ({ kind: 'machine' as const, machine: { ...rest, id: idOf(index), address: address(index) } })),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('no machine' as const), id: fc.nat(11).map(idOf) }) },
  );

/** What a table holds, whatever its parts are called: the elements of every set, and how many rules each chain has. */
const contentOf = async (instance: string): Promise<string[]> => {
  const { code, stdout } = await runAny('nft', ['--json', 'list', 'table', 'inet', `cenote-${instance}-firewall`]);
  if (code !== 0) return ['no table'];
  const { nftables } = JSON.parse(stdout) as { nftables: Record<string, { name: string; chain: string; elem?: unknown[]; type?: unknown }>[] };
  const rules = new Map<string, number>();
  const content: string[] = [];
  for (const { set, map, chain, rule } of nftables) {
    if (set !== undefined) content.push(JSON.stringify([set.type, (set.elem ?? []).map((one) => JSON.stringify(one)).sort()]));
    if (map !== undefined) content.push(JSON.stringify(['map', (map.elem ?? []).map((one) => JSON.stringify((one as unknown[])[0])).sort()]));
    if (chain !== undefined) rules.set(chain.name, rules.get(chain.name) ?? 0);
    if (rule !== undefined) rules.set(rule.chain, (rules.get(rule.chain) ?? 0) + 1);
  }
  return [...content.sort(), JSON.stringify([...rules.values()].sort((one, other) => one - other))];
};

for (const [family, cidr, address] of [
  [4, '10.1.0.0/16', (index: number) => `10.1.0.${index + 2}`],
  [6, 'fd00::/64', (index: number) => `fd00::${(index + 2).toString(16)}`],
] as const)
  test(`after any changes, the table is as one loaded at once, of IPv${family}`, async () => {
    const warnings: string[] = [];
    const logger = createLogger({ name: 'test', level: 'silent' });
    logger.warn = (context: unknown) => void warnings.push(JSON.stringify(context));
    using nftables = new Nftables();
    const subnet = parseSubnet('subnet', cidr);
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryStep(address), { minLength: 30, maxLength: 90 }), async (steps) => {
        const changing = new FirewallTable({ instance: 'changing', subnet, nftables, logger });
        changing.restore([], []);
        const rules = new Map<string, OwnedRule>();
        const machines = new Map<string, FirewallMachine>();
        for (const step of steps) {
          if (step.kind === 'rule') {
            rules.set(step.rule.id, step.rule);
            changing.changeRules([step.rule], []);
          } else if (step.kind === 'no rule') {
            rules.delete(step.id);
            changing.changeRules([], [step.id]);
          } else if (step.kind === 'machine') {
            machines.set(step.machine.id, step.machine);
            changing.setMachine(step.machine);
          } else {
            machines.delete(step.id);
            changing.removeMachine(step.id);
          }
        }
        const whole = new FirewallTable({ instance: 'whole', subnet, nftables, logger });
        whole.restore([...rules.values()], [...machines.values()]);
        assert.deepEqual(await contentOf('changing'), await contentOf('whole'));
        changing.removeAll();
        whole.removeAll();
      }),
      { numRuns: 40 },
    );
    assert.deepEqual(warnings, [], 'a change was refused by the kernel, and the table loaded as a whole instead');
  });
