/** Firewall rules: what people ask of them. They are in force on the host when a request is answered, unless its agent is away. */
import { randomUUID } from 'node:crypto';
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import { weightOf } from '../../model/firewall/compile.ts';
import { parseRule } from '../../model/firewall/parse.ts';
import { printRule } from '../../model/firewall/print.ts';
import { concerns } from '../../model/firewall/rule.ts';
import type { OwnedRule } from '../../model/firewall/rule.ts';
import type { CreateFirewallRule, FirewallRule, UpdateFirewallRule } from '../../model/firewall/wire.ts';
import type { RequestContext } from '../../store/context.ts';
import { systemContext as system } from '../../store/context.ts';
import { eventAppend } from '../../store/event.ts';
import { firewallRuleLoad, firewallRuleDelete, firewallRuleGet, firewallRuleInsert, firewallRuleList, firewallRuleSave } from '../../store/firewall-rule.ts';
import type { StoredRule } from '../../store/firewall-rule.ts';
import { machineGet, machineListAccount } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';

/** Of one account, and of the operator. */
const mostRules = 10_000;
const mostWeight = 50_000;

export const firewallRuleCreate = async (control: Control, context: RequestContext, asked: CreateFirewallRule): Promise<FirewallRule> => {
  const rule = parseRule(asked.rule);
  const log = asked.log ?? false;
  const stored: StoredRule = {
    id: randomUUID(),
    account: asked.global === true ? null : context.account,
    rule: printRule(rule),
    enabled: asked.enabled ?? false,
    log,
    weight: weightOf({ rule, log }),
    description: asked.description ?? null,
    createdAt: new Date().toISOString(),
  };
  await control.store.transaction(async (db) => {
    await demandRoom(context, db, stored);
    await firewallRuleInsert(context, db, stored);
    await tell(context, db, 'created', stored);
  });
  return settled(control, stored);
};

/** One account's rules must not make a host slow for the others; `former` is what the rule was and gives up. */
const demandRoom = async (context: RequestContext, db: Db, { account, weight }: StoredRule, former?: StoredRule): Promise<void> => {
  const load = await firewallRuleLoad(context, db, account);
  if (former === undefined && load.count >= mostRules) throw new CenoteError('over_quota', `there are ${mostRules} firewall rules already`);
  const sum = load.weight - (former?.weight ?? 0) + weight;
  if (sum <= mostWeight) return;
  throw new CenoteError('over_quota', `firewall rules would come to ${sum} combinations of targets and ports, and ${mostWeight} is the most`, {
    advice: 'name machines by a tag instead of one by one, and addresses by their subnet; log only where it is needed',
  });
};

export const firewallRuleUpdate = async (control: Control, context: RequestContext, id: string, asked: UpdateFirewallRule): Promise<FirewallRule> => {
  if (Object.keys(asked).length === 0) throw invalid('body', 'nothing to change');
  const saved = await control.store.transaction(async (db) => {
    const stored = await firewallRuleGet(context, db, id);
    const rule = parseRule(asked.rule ?? stored.rule);
    const log = asked.log ?? stored.log;
    const changed: StoredRule = { ...stored, ...asked, rule: printRule(rule), weight: weightOf({ rule, log }) };
    if (changed.weight > stored.weight) await demandRoom(context, db, changed, stored);
    await firewallRuleSave(context, db, changed);
    await tell(context, db, 'updated', changed);
    return changed;
  });
  return settled(control, saved);
};

export const firewallRuleRemove = async (control: Control, context: RequestContext, id: string): Promise<void> => {
  await control.store.transaction(async (db) => {
    const stored = await firewallRuleGet(context, db, id);
    await firewallRuleDelete(context, db, stored);
    await tell(context, db, 'deleted', stored);
  });
  control.events.notify();
  await control.firewall.changed(id);
};

export const firewallRuleShow = async (control: Control, context: RequestContext, id: string): Promise<FirewallRule> =>
  wireOf(control, await firewallRuleGet(context, control.store.db, id));

export const firewallRulesShow = async (control: Control, context: RequestContext): Promise<FirewallRule[]> =>
  (await firewallRuleList(context, control.store.db)).map((stored) => wireOf(control, stored));

/** The rules that a machine applies once its firewall is on, enabled or not. */
export const machineFirewallRules = async (control: Control, context: RequestContext, idOrName: string): Promise<FirewallRule[]> => {
  const { machine } = await machineGet(context, control.store.db, idOrName);
  return (await firewallRuleList(context, control.store.db)).filter((stored) => concerns(ownedOf(stored), machine)).map((stored) => wireOf(control, stored));
};

/** The caller's machines that apply a rule once their firewall is on. */
export const firewallRuleMachines = async (control: Control, context: RequestContext, id: string): Promise<Machine[]> => {
  const owned = ownedOf(await firewallRuleGet(context, control.store.db, id));
  return (await machineListAccount(context, control.store.db)).filter((machine) => concerns(owned, machine));
};

export const ownedOf = ({ id, account, rule, log }: StoredRule): OwnedRule => ({ id, account, rule: parseRule(rule), log });

/** The audit of rules: who did what. */
const tell = ({ actor }: RequestContext, db: Db, what: 'created' | 'updated' | 'deleted', { id, account, rule, enabled }: StoredRule): Promise<void> =>
  eventAppend(system, db, [
    {
      account,
      at: new Date().toISOString(),
      type: `fwrule.${what}`,
      subject: id,
      message: `firewall rule ${what}: ${rule}${enabled ? '' : ' (disabled)'}`,
      detail: { actor, rule, enabled },
    },
  ]);

const settled = async (control: Control, stored: StoredRule): Promise<FirewallRule> => {
  control.events.notify();
  await control.firewall.changed(stored.id);
  return wireOf(control, stored);
};

const wireOf = (control: Control, { weight: _, ...stored }: StoredRule): FirewallRule => ({
  ...stored,
  global: stored.account === null,
  applied: control.firewall.isApplied(stored.id),
});
