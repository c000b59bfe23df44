/** What becomes of a packet, asked before anybody sends it. */
import { invalid } from '../../base/errors.ts';
import { canonicalAddress, familyOf, parseAddress } from '../../model/address.ts';
import type { Family } from '../../model/address.ts';
import { backboneAddress, backboneOf } from '../../model/backbone.ts';
import type { Machine } from '../../model/control-api.ts';
import { Policy } from '../../model/firewall/judge.ts';
import type { PacketService, Verdict } from '../../model/firewall/judge.ts';
import type { FirewallMachine, OwnedRule } from '../../model/firewall/rule.ts';
import type { FirewallVerdict } from '../../model/firewall/wire.ts';
import { subnetOf } from '../../model/network.ts';
import type { Nic } from '../../model/network.ts';
import { addressesOf, externalNetwork, nicsOf } from '../../model/nics.ts';
import { placeOf } from '../../model/subnet.ts';
import type { RequestContext } from '../../store/context.ts';
import { systemContext as system } from '../../store/context.ts';
import { firewallRuleEnabled } from '../../store/firewall-rule.ts';
import { machineGet, machineListAccount, machineListAll } from '../../store/machine.ts';
import { networkListByIds, networkListShared } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { Control } from '../control.ts';
import { namedBy } from './field.ts';
import { ownedOf } from './firewall.ts';

export interface PacketAsked {
  /** A machine, by name or id, or an address. */
  from: string;
  to: string;
  service: PacketService;
}

/** By the rules as they are now. Of another account's machines no more is told than that they are there. */
export const firewallTest = async (control: Control, context: RequestContext, { from, to, service }: PacketAsked): Promise<FirewallVerdict> => {
  const { db } = control.store;
  const stored = await firewallRuleEnabled(system, db, null);
  const rules = new Map(stored.map((rule) => [rule.id, rule]));
  const machines = (await machineListAll(system, db)).map(({ machine }) => machine);
  const [sender, receiver] = [await endOf(control, context, 'from', from), await endOf(control, context, 'to', to)];
  const networks = await networkListByIds(system, db, [...new Set([sender, receiver].flatMap(({ nics }) => nics.map(({ network }) => network)))]);
  const known = new Map(networks.map((network) => [network.id, network]));
  const { allowed, judgements } = judgeOn(wayBetween(known, sender, receiver, service), known, { rules: stored.map(ownedOf), machines, service });
  return {
    allowed,
    judgements: judgements.map(({ machine: id, direction, action, rule: ruleId }) => {
      const machine = machines.find((one) => one.id === id)!;
      const rule = ruleId === null ? undefined : rules.get(ruleId)!;
      const isSeen = machine.account === context.account || context.role === 'administrator';
      return {
        direction,
        machine: { id: isSeen ? id : '', name: isSeen ? machine.name : '' },
        action,
        rule: rule === undefined || !isSeen ? null : { id: rule.id, rule: rule.rule },
      };
    }),
  };
};

/** A machine, or an address that none of the caller's has on a network of its own. */
interface End {
  written: string;
  nics: readonly Nic[];
}

const endOf = async (control: Control, context: RequestContext, field: string, written: string): Promise<End> => {
  const { db } = control.store;
  const text = canonicalAddress(written);
  if (parseAddress(text) === undefined) {
    const words = `${JSON.stringify(text.slice(0, 80))} is neither a machine nor an address`;
    return { written, nics: nicsOf((await namedBy(field, () => machineGet(context, db, text), { words })).machine) };
  }
  const nic = (await machineListAccount(context, db)).flatMap(nicsOf).find((one) => addressesOf(one).includes(text));
  const shared = nic === undefined ? (await networkListShared(system, db)).find((network) => placeOf(subnetOf(network), text) !== null) : undefined;
  return { written, nics: [{ network: nic?.network ?? shared?.id ?? externalNetwork, address: text, index: 0, primary: true }] };
};

type Networks = ReadonlyMap<string, StoredNetwork>;

/** A way from one NIC to another, of one family. */
interface Way {
  from: Nic;
  to: Nic;
}

/** On a network that both are on; else by the way out that each has in a family. */
const wayBetween = (networks: Networks, sender: End, receiver: End, { protocol }: PacketService): Way => {
  const families = protocol === 'icmp' ? ([4] as const) : protocol === 'icmp6' ? ([6] as const) : ([4, 6] as const);
  const pairs = sender.nics.flatMap((from) => receiver.nics.map((to) => ({ from, to })));
  for (const { from, to } of pairs) {
    const family = familyOf(from.address);
    if (from.network === to.network && familyOf(to.address) === family && families.some((one) => one === family)) return { from, to };
  }
  for (const family of families) {
    const [from, to] = [wayOut(networks, sender, family), wayOut(networks, receiver, family)];
    if (from !== undefined && to !== undefined) return { from, to };
  }
  const by = families.length === 1 ? `IPv${families[0]}, which ${protocol} is of` : 'IPv4 or IPv6';
  throw invalid(
    'to',
    `there is no way from ${sender.written} to ${receiver.written} by ${by}`,
    protocol === 'icmp' ? 'ask for icmp6, which has types of its own' : undefined,
  );
};

/** As in machines: the primary leads everywhere in its own family, and in the other the first on a network with a gateway. */
const wayOut = (networks: Networks, { nics }: End, family: Family): Nic | undefined => {
  const all = nics.filter(({ address }) => familyOf(address) === family);
  return all.find(({ primary }) => primary) ?? all.find(({ network }) => networks.get(network)?.gateway !== null);
};

interface Judged {
  rules: OwnedRule[];
  machines: readonly Machine[];
  service: PacketService;
}

/** Where it is another network, the packet comes as what its sender is seen as there. */
const judgeOn = ({ from, to }: Way, networks: Networks, { rules, machines, service }: Judged): Verdict => {
  const policyOn = (network: string) =>
    new Policy(
      rules,
      machines.flatMap((machine) => {
        const nic = nicsOf(machine).find((one) => one.network === network);
        return nic === undefined ? [] : [{ ...firewallMachineOf(machine), address: nic.address, more: nic.more }];
      }),
    );
  const left = policyOn(from.network).judge({ from: from.address, to: to.address, service });
  if (from.network === to.network) return left;
  const judgements = left.judgements.filter(({ direction }) => direction === 'out');
  if (judgements.some(({ action }) => action === 'block')) return { allowed: false, judgements };
  const came = policyOn(to.network).judge({ from: seenAs(from, networks.get(from.network)), to: to.address, service });
  return { allowed: came.allowed, judgements: [...judgements, ...came.judgements.filter(({ direction }) => direction === 'in')] };
};

/** What stands for a network in IPv6 differs from host to host in a part that no rule can mean. */
const seenAs = ({ address }: Nic, home: StoredNetwork | undefined): string => {
  if (home === undefined || home.isPublic || home.uplink === null) return address;
  return familyOf(address) === 4 ? home.uplink : backboneAddress(backboneOf(0), home.uplink);
};

const firewallMachineOf = ({ id, account, address, tags, firewallEnabled }: Machine): FirewallMachine => ({
  id,
  account,
  address,
  tags,
  firewall: firewallEnabled === true,
});
