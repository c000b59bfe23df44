/** The firewall of a host with several networks: each has a table in its own namespace, with the rules of whoever may be on it. */
import { nicsOf } from '../../model/nics.ts';
import type { FirewallMachine, OwnedRule } from '../../model/firewall/rule.ts';
import type { Nic } from '../../model/network.ts';
import type { Firewall } from './firewall/open.ts';

interface Part {
  firewall: Firewall;
  /** Null: machines of every account may be on it. */
  account: string | null;
}

export class Firewalls implements Firewall {
  readonly #parts = new Map<string, Part>();
  readonly #rules = new Map<string, OwnedRule>();
  readonly #machines = new Map<string, FirewallMachine>();
  /** Before anything is known, what the kernel has from a former agent stays. */
  #isKnown = false;

  /** A network that is there from now on; what is known already holds on it when this resolves. */
  async add(network: string, part: Part): Promise<void> {
    this.#parts.set(network, part);
    if (this.#isKnown) await part.firewall.restore(concerning(part, [...this.#rules.values()]), this.#machinesOn(network));
  }

  remove(network: string): void {
    this.#parts.delete(network);
  }

  async restore(rules: readonly OwnedRule[], machines: readonly FirewallMachine[]): Promise<void> {
    this.#isKnown = true;
    this.#rules.clear();
    this.#machines.clear();
    for (const owned of rules) this.#rules.set(owned.id, owned);
    for (const machine of machines) this.#machines.set(machine.id, machine);
    for (const [network, part] of this.#parts) await part.firewall.restore(concerning(part, rules), this.#machinesOn(network));
  }

  async changeRules(put: readonly OwnedRule[], remove: readonly string[]): Promise<void> {
    const former = [...put.map(({ id }) => id), ...remove].map((id) => this.#rules.get(id)).filter((owned) => owned !== undefined);
    const known = new Set(former.map(({ id }) => id));
    const done: Part[] = [];
    try {
      for (const part of this.#parts.values()) {
        await part.firewall.changeRules(concerning(part, put), remove);
        done.push(part);
      }
    } catch (error) {
      const added = put.filter(({ id }) => !known.has(id)).map(({ id }) => id);
      for (const part of done) await part.firewall.changeRules(concerning(part, former), added);
      throw error;
    }
    this.#isKnown = true;
    for (const id of remove) this.#rules.delete(id);
    for (const owned of put) this.#rules.set(owned.id, owned);
  }

  async setMachine(machine: FirewallMachine): Promise<void> {
    this.#isKnown = true;
    const former = this.#machines.get(machine.id);
    this.#machines.set(machine.id, machine);
    const on = new Map(nicsOf(machine).map((nic) => [nic.network, nic]));
    for (const [network, nic] of on) await this.#parts.get(network)?.firewall.setMachine(machineAt(machine, nic));
    for (const { network } of former === undefined ? [] : nicsOf(former))
      if (!on.has(network)) await this.#parts.get(network)?.firewall.removeMachine(machine.id);
  }

  async removeMachine(id: string): Promise<void> {
    const former = this.#machines.get(id);
    this.#machines.delete(id);
    for (const { network } of former === undefined ? [] : nicsOf(former)) await this.#parts.get(network)?.firewall.removeMachine(id);
  }

  #machinesOn(network: string): FirewallMachine[] {
    return [...this.#machines.values()].flatMap((machine) => {
      const nic = nicsOf(machine).find((one) => one.network === network);
      return nic === undefined ? [] : [machineAt(machine, nic)];
    });
  }
}

const machineAt = (machine: FirewallMachine, { address, more }: Nic): FirewallMachine => ({ ...machine, address, ...(more === undefined ? {} : { more }) });

/** An operator's rules are about everybody's machines. */
const concerning = ({ account }: Part, rules: readonly OwnedRule[]): readonly OwnedRule[] =>
  account === null ? rules : rules.filter((owned) => owned.account === null || owned.account === account);
