/** Firewall rules, and asking what they come to. What is done with them is done when the request is answered. */
import { Type } from 'typebox';
import { invalid } from '../../base/errors.ts';
import { Machine } from '../../model/control-api.ts';
import type { PacketService } from '../../model/firewall/judge.ts';
import { CreateFirewallRule, FirewallRule, FirewallVerdict, UpdateFirewallRule } from '../../model/firewall/wire.ts';
import {
  firewallRuleCreate,
  firewallRuleMachines,
  firewallRuleRemove,
  firewallRuleShow,
  firewallRuleUpdate,
  firewallRulesShow,
  machineFirewallRules,
} from '../app/firewall.ts';
import { firewallTest } from '../app/firewall-test.ts';
import type { Control } from '../control.ts';
import { idParams } from './accepted.ts';
import { integerOf, oneOf } from './query.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

export const firewallRoutes = (app: App, control: Control): void => {
  const one = { params: idParams, response: { 200: FirewallRule } };

  app.get('/v1/fwrules', { schema: { response: { 200: Type.Array(FirewallRule) } } }, (request) => firewallRulesShow(control, request.caller));

  app.post('/v1/fwrules', { schema: { body: CreateFirewallRule, response: { 201: FirewallRule } } }, async (request, reply) =>
    reply.code(201).send(await firewallRuleCreate(control, request.caller, request.body)),
  );

  app.get('/v1/fwrules/:id', { schema: one }, (request) => firewallRuleShow(control, request.caller, request.params.id));

  app.post('/v1/fwrules/:id/update', { schema: { ...one, body: UpdateFirewallRule } }, (request) =>
    firewallRuleUpdate(control, request.caller, request.params.id, request.body),
  );

  const plain = { schema: { ...one, body: Type.Object({}, { additionalProperties: false }) }, preValidation: emptyBodyAllowed };
  app.post('/v1/fwrules/:id/enable', plain, (request) => firewallRuleUpdate(control, request.caller, request.params.id, { enabled: true }));
  app.post('/v1/fwrules/:id/disable', plain, (request) => firewallRuleUpdate(control, request.caller, request.params.id, { enabled: false }));

  app.delete('/v1/fwrules/:id', { schema: { params: idParams } }, async (request, reply) => {
    await firewallRuleRemove(control, request.caller, request.params.id);
    return reply.code(204).send();
  });

  app.get('/v1/fwrules/:id/machines', { schema: { params: idParams, response: { 200: Type.Array(Machine) } } }, (request) =>
    firewallRuleMachines(control, request.caller, request.params.id),
  );

  app.get('/v1/machines/:id/fwrules', { schema: { params: idParams, response: { 200: Type.Array(FirewallRule) } } }, (request) =>
    machineFirewallRules(control, request.caller, request.params.id),
  );

  app.get(
    '/v1/firewall/test',
    { config: { query: ['from', 'to', 'protocol', 'port', 'type', 'code'] }, schema: { response: { 200: FirewallVerdict } } },
    (request) => {
      const query = request.query as URLSearchParams;
      return firewallTest(control, request.caller, { from: textOf(query, 'from'), to: textOf(query, 'to'), service: serviceOf(query) });
    },
  );
};

const textOf = (query: URLSearchParams, name: string): string => {
  const text = query.get(name);
  if (text === null || text === '') throw invalid(name, 'is missing');
  return text;
};

const serviceOf = (query: URLSearchParams): PacketService => {
  const protocol = oneOf(query, 'protocol', ['tcp', 'udp', 'icmp', 'icmp6', 'ah', 'esp'] as const);
  const number = (name: string, minimum: number, maximum: number) => integerOf(query, name, { minimum, maximum });
  const [port, type, code] = [number('port', 1, 65_535), number('type', 0, 255), number('code', 0, 255)];
  switch (protocol) {
    case undefined:
      throw invalid('protocol', 'is missing');
    case 'tcp':
    case 'udp':
      if (port === undefined) throw invalid('port', 'is missing');
      return { protocol, port };
    case 'icmp':
    case 'icmp6':
      if (type === undefined) throw invalid('type', 'is missing');
      return { protocol, type, code: code ?? 0 };
    case 'ah':
    case 'esp':
      return { protocol };
  }
};
