/** The firewall of a host: the table in the kernel, and the flows that a change cuts. */
import type { PacketService } from '../../../model/firewall/judge.ts';
import type { FirewallMachine, OwnedRule } from '../../../model/firewall/rule.ts';
import type { BegunFlow } from '../flow-entry.ts';
import type { ConntrackFlows } from '../flows.ts';
import type { Subnet } from '../../../model/subnet.ts';
import { FirewallTable } from './firewall.ts';
import type { FirewallTableOptions } from './firewall.ts';

export interface Firewall {
  /** After a start of the agent: exactly these. Anything else of a former one goes; there is no moment without rules. */
  restore(rules: readonly OwnedRule[], machines: readonly FirewallMachine[]): Promise<void>;
  /** All of it or nothing. When it resolves, flows that are no longer allowed are cut. */
  changeRules(put: readonly OwnedRule[], remove: readonly string[]): Promise<void>;
  /** Of a machine that is new, or has other tags, another switch. Before it is connected, and whenever it changes. */
  setMachine(machine: FirewallMachine): Promise<void>;
  removeMachine(id: string): Promise<void>;
}

export interface HostFirewall extends Firewall {
  removeAll(): void;
}

export const openFirewall = (options: FirewallTableOptions & { flows: ConntrackFlows }): HostFirewall => {
  const { flows, subnet, resolver } = options;
  const table = new FirewallTable(options);

  const cut = async (): Promise<void> => {
    // Looking through all flows of a host takes a while, and nobody judges any.
    if (!table.isJudging) return;
    const { policy } = table;
    // A verdict looks at rule after rule. Thousands of connections between the same two are known for minutes, and differ in where they began alone.
    const verdicts = new Map<string, boolean>();
    await flows.censor(table.guarded, {
      isRefused: (flow) => {
        const to = flow.to === resolver ? subnet.gateway : flow.to;
        const key = `${flow.from} ${to} ${flow.protocol} ${flow.port} ${flow.answeringPort} ${flow.type} ${flow.code}`;
        const known = verdicts.get(key);
        if (known !== undefined) return known;
        const refused = !policy.judge({ from: flow.from, to, service: serviceOf({ ...flow, to }, subnet) }).allowed;
        verdicts.set(key, refused);
        return refused;
      },
      refused: (refused) => table.holdOff(refused.filter(({ protocol }) => protocols[protocol] === 'udp')),
    });
  };

  return {
    restore: async (rules, machines) => {
      table.restore(rules, machines);
      await cut();
    },
    changeRules: async (put, remove) => {
      // Looking through all flows of a host takes a while, and one more thing allowed refuses none of them.
      const onlyAllows = remove.length === 0 && put.every(({ id, rule }) => rule.action === 'allow' && !table.hasRule(id));
      if (table.changeRules(put, remove) && !onlyAllows) await cut();
    },
    setMachine: async (machine) => {
      // One that was not there has no flows yet, and is waited for.
      const isNew = !table.hasMachine(machine.id);
      if (table.setMachine(machine) && !isNew) await cut();
    },
    removeMachine: async (id) => void table.removeMachine(id),
    removeAll: () => table.removeAll(),
  };
};

const protocols: Readonly<Record<number, PacketService['protocol']>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 50: 'esp', 51: 'ah', 58: 'icmp6' };

/** A published port is judged as the machine's own; the resolver is asked at its well-known one, wherever it listens. */
const serviceOf = (flow: BegunFlow, { gateway }: Subnet): PacketService => {
  const protocol = protocols[flow.protocol] ?? 'other';
  if (protocol === 'tcp' || protocol === 'udp') return { protocol, port: flow.to === gateway ? flow.port : flow.answeringPort };
  return protocol === 'icmp' || protocol === 'icmp6' ? { protocol, type: flow.type, code: flow.code } : { protocol };
};
