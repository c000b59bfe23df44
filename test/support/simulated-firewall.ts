/** The simulated agent's firewall: rules in memory, and the contract on revisions. */
import { CenoteError } from '../../src/base/errors.ts';
import type { AppliedFirewall, AppliedRule, FirewallChange } from '../../src/model/firewall/wire.ts';

export class SimulatedFirewall {
  readonly rules = new Map<string, AppliedRule>();
  revision = 1;
  /** As a kernel that lacks something. */
  refuses: (rule: AppliedRule) => boolean = () => false;

  get state(): AppliedFirewall {
    return { revision: this.revision, rules: [...this.rules.values()] };
  }

  change({ after, put, remove }: FirewallChange): { revision: number } {
    if (after !== this.revision) throw new CenoteError('stale_generation', `the firewall is at revision ${this.revision}`);
    if (put.some(this.refuses)) throw new CenoteError('failed', 'the kernel refuses it');
    for (const id of remove) this.rules.delete(id);
    for (const rule of put) this.rules.set(rule.id, rule);
    return { revision: ++this.revision };
  }
}
