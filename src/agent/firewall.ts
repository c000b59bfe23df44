/**
 * The firewall rules that this host applies, as the control plane last told: kept in the journal, so that they hold from the first packet
 * after a restart. What they are applied to is known here already: the machines' own specifications.
 */
import { CenoteError, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { SerialQueue } from '../base/serial-queue.ts';
import type { Firewall } from '../host/network/firewall/open.ts';
import { parseRule } from '../model/firewall/parse.ts';
import type { FirewallMachine, OwnedRule } from '../model/firewall/rule.ts';
import type { AppliedFirewall, AppliedRule, FirewallChange } from '../model/firewall/wire.ts';
import type { MachineSpec } from '../model/machine.ts';
import type { Journal } from './journal.ts';

const mostWaiting = 64;

export class FirewallRules {
  readonly #firewall: Firewall;
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #rules = new Map<string, AppliedRule>();
  readonly #queue = new SerialQueue(mostWaiting);
  /** From the clock, so that what was said before a restart is known as old. */
  #revision = Date.now();

  constructor(firewall: Firewall, journal: Journal, logger: Logger) {
    this.#firewall = firewall;
    this.#journal = journal;
    this.#logger = logger;
  }

  /** As recorded, for all machines at once: what the kernel has from a former agent is replaced in one moment. */
  async restore(specs: Iterable<MachineSpec>): Promise<void> {
    const machines = Array.from(specs, firewallMachine);
    const recorded = this.#journal.loadFirewallRules();
    try {
      await this.#firewall.restore(recorded.map(ownedOf), machines);
      for (const rule of recorded) this.#rules.set(rule.id, rule);
    } catch (error) {
      // Closed, until the control plane has told them anew, one by one if need be: neither open, nor without an agent.
      this.#logger.error({ error: messageChain(error) }, 'the recorded firewall rules could not be put in force; machines with their firewall on are closed');
      await this.#firewall.restore([], machines);
    }
  }

  get applied(): AppliedFirewall {
    return { revision: this.#revision, rules: [...this.#rules.values()] };
  }

  /** In force and on record when it resolves; refused as a whole, or not at all. */
  change({ after, put, remove }: FirewallChange): Promise<{ revision: number }> {
    return this.#queue.run(async () => {
      if (after !== this.#revision) throw new CenoteError('stale_generation', `the firewall is at revision ${this.#revision}, not ${after}`);
      await this.#firewall.changeRules(put.map(ownedOf), remove);
      await this.#journal.changeFirewallRules(put, remove);
      for (const id of remove) this.#rules.delete(id);
      for (const rule of put) this.#rules.set(rule.id, rule);
      this.#revision += 1;
      return { revision: this.#revision };
    });
  }
}

const ownedOf = ({ id, account, rule, log }: AppliedRule): OwnedRule => ({ id, account, rule: parseRule(rule), log });

/** What the firewall must know of a machine before any of its packets comes. */
export const firewallMachine = ({ id, account, address, nics, tags, firewallEnabled }: MachineSpec): FirewallMachine => ({
  id,
  account,
  address,
  ...(nics === undefined ? {} : { nics }),
  tags,
  firewall: firewallEnabled === true,
});
