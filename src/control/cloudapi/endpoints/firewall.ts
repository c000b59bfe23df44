/** Firewall rules of the account. They are in force when the answer is given. */
import { Type } from 'typebox';
import { CreateFirewallRule } from '../../../model/firewall/wire.ts';
import type { FirewallRule } from '../../../model/firewall/wire.ts';
import {
  firewallRuleCreate,
  firewallRuleMachines,
  firewallRuleRemove,
  firewallRuleShow,
  firewallRulesShow,
  firewallRuleUpdate,
  machineFirewallRules,
} from '../../app/firewall.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { machineWire, WireMachine } from '../wire/machine.ts';
import { machineOf, viewOf } from './machine.ts';

const none = Type.Object({});
const RuleText = CreateFirewallRule.properties.rule;

const WireRule = Type.Object({
  id: Type.String({ format: 'uuid' }),
  rule: Type.String(),
  enabled: Type.Boolean(),
  log: Type.Boolean(),
  global: Type.Optional(Type.Boolean()),
  description: Type.Optional(Type.String()),
});

const changes = {
  enabled: Type.Optional(Type.Boolean()),
  log: Type.Optional(Type.Boolean()),
  description: Type.Optional(Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' })),
};

const ruleWire = ({ id, rule, enabled, log, global, description }: FirewallRule) => ({
  id,
  rule,
  enabled,
  log,
  ...(global ? { global } : {}),
  ...(description === null ? {} : { description }),
});

const switched = (name: string, path: string, enabled: boolean) =>
  endpoint({
    name,
    method: 'POST',
    path,
    parameters: none,
    answer: WireRule,
    handle: async ({ control, context, path: names }) => ({ body: ruleWire(await firewallRuleUpdate(control, context, names['fwrule']!, { enabled })) }),
  });

const one = '/:account/fwrules/:fwrule';

const idOf = ({ path }: Pick<Call, 'path'>): string => path['fwrule']!;

export const firewallEndpoints = [
  endpoint({
    name: 'ListFirewallRules',
    method: 'GET',
    path: '/:account/fwrules',
    parameters: none,
    answer: Type.Array(WireRule),
    handle: async ({ control, context }) => ({ body: (await firewallRulesShow(control, context)).map(ruleWire) }),
  }),
  endpoint({
    name: 'CreateFirewallRule',
    method: 'POST',
    path: '/:account/fwrules',
    status: 201,
    parameters: Type.Object({ rule: RuleText, ...changes }),
    answer: WireRule,
    handle: async ({ control, context, account, parameters }) => {
      const made = await firewallRuleCreate(control, context, parameters);
      return { body: ruleWire(made), headers: { location: `/${account.name}/fwrules/${made.id}` } };
    },
  }),
  endpoint({
    name: 'GetFirewallRule',
    method: 'GET',
    path: one,
    parameters: none,
    answer: WireRule,
    handle: async (call) => ({ body: ruleWire(await firewallRuleShow(call.control, call.context, idOf(call))) }),
  }),
  endpoint({
    name: 'UpdateFirewallRule',
    method: 'POST',
    path: one,
    parameters: Type.Object({ rule: Type.Optional(RuleText), ...changes }),
    answer: WireRule,
    handle: async (call) => ({ body: ruleWire(await firewallRuleUpdate(call.control, call.context, idOf(call), call.parameters)) }),
  }),
  switched('EnableFirewallRule', `${one}/enable`, true),
  switched('DisableFirewallRule', `${one}/disable`, false),
  endpoint({
    name: 'DeleteFirewallRule',
    method: 'DELETE',
    path: one,
    parameters: none,
    answer: null,
    handle: async (call) => {
      await firewallRuleRemove(call.control, call.context, idOf(call));
      return {};
    },
  }),
  endpoint({
    name: 'ListFirewallRuleMachines',
    method: 'GET',
    path: `${one}/machines`,
    parameters: none,
    answer: Type.Array(WireMachine),
    handle: async (call) => {
      const machines = await firewallRuleMachines(call.control, call.context, idOf(call));
      const view = await viewOf(call);
      return { body: machines.map((machine) => machineWire(machine, view)) };
    },
  }),
  endpoint({
    name: 'ListMachineFirewallRules',
    method: 'GET',
    path: '/:account/machines/:machine/fwrules',
    parameters: none,
    answer: Type.Array(WireRule),
    handle: async (call) => {
      const { id } = await machineOf(call);
      return { body: (await machineFirewallRules(call.control, call.context, id)).map(ruleWire) };
    },
  }),
];
