/** A firewall rule as a value: what `parse.ts` makes of its text and `print.ts` makes text of again. Always canonical: lists are sorted, targets without repeats. */

import type { Nic } from '../network.ts';

export type Target =
  /** `any`: every address there is. */
  | { kind: 'any' }
  /** `all vms`: every machine that the rule is about. */
  | { kind: 'all' }
  | { kind: 'ip'; address: string }
  | { kind: 'subnet'; subnet: string }
  /** Machines with the tag; with a value, those whose tag has exactly that. */
  | { kind: 'tag'; name: string; value: string | null }
  | { kind: 'vm'; id: string };

export interface PortRange {
  from: number;
  to: number;
}

export interface IcmpType {
  type: number;
  /** Null: every code. */
  code: number | null;
}

export type Service =
  | { protocol: 'tcp' | 'udp'; ports: PortRange[] | 'all' }
  | { protocol: 'icmp' | 'icmp6'; types: IcmpType[] | 'all' }
  | { protocol: 'ah' | 'esp' };

export type Action = 'allow' | 'block';

export interface Rule {
  from: Target[];
  to: Target[];
  action: Action;
  service: Service;
  /** 0 to 100; a higher one is looked at first. */
  priority: number;
}

/** A rule with what decides about whom it is. */
export interface OwnedRule {
  id: string;
  /** Whose machines it is about; null: everybody's. */
  account: string | null;
  rule: Rule;
  log: boolean;
}

/** In rules, numbers and truth values are the text they are written as. */
export type RuleTags = Readonly<Record<string, string | number | boolean>>;

/** What the firewall knows of a machine. */
export interface FirewallMachine {
  id: string;
  account: string;
  /** Of its primary NIC, where `nics` has more. */
  address: string;
  nics?: readonly Nic[];
  /** Further addresses on the network that is judged. */
  more?: readonly string[] | undefined;
  tags: RuleTags;
  /** Whether rules are applied to it. One without may still be what a rule names as the other side. */
  firewall: boolean;
}

export type Direction = 'in' | 'out';

/** What a machine with its firewall on does with packets that no rule is about. */
export const defaultAction = { in: 'block', out: 'allow' } as const satisfies Record<Direction, Action>;

/** At equal priority the action wins that is not the default: an exception is what people write rules for. */
export const winsAtEqualPriority = { in: 'allow', out: 'block' } as const satisfies Record<Direction, Action>;

/** The side of a rule where the machine is that applies it, and the other one. */
export const sidesOf = (rule: Rule, direction: Direction): { local: Target[]; remote: Target[] } =>
  direction === 'in' ? { local: rule.to, remote: rule.from } : { local: rule.from, remote: rule.to };

/** Targets that machines apply a rule for; an address or `any` makes nobody apply it. */
export const isMachineTarget = (target: Target): target is Extract<Target, { kind: 'all' | 'tag' | 'vm' }> =>
  target.kind === 'all' || target.kind === 'tag' || target.kind === 'vm';

const hasTag = (tags: RuleTags, { name, value }: { name: string; value: string | null }): boolean =>
  Object.hasOwn(tags, name) && (value === null || String(tags[name]) === value);

/** Whether the rules of one account are about a machine of another: only an operator's are. */
export const isAbout = (rule: Pick<OwnedRule, 'account'>, machine: Pick<FirewallMachine, 'account'>): boolean =>
  rule.account === null || rule.account === machine.account;

/** Whether the machine is one that the target names; for a rule that is about it. */
export const namesMachine = (target: Target, machine: Pick<FirewallMachine, 'id' | 'tags'>): boolean =>
  target.kind === 'all' || (target.kind === 'vm' && target.id === machine.id) || (target.kind === 'tag' && hasTag(machine.tags, target));

/** Whether the machine applies the rule in either direction once its firewall is on. */
export const concerns = (owned: OwnedRule, machine: Pick<FirewallMachine, 'id' | 'account' | 'tags'>): boolean =>
  isAbout(owned, machine) && [...owned.rule.from, ...owned.rule.to].some((target) => namesMachine(target, machine));
