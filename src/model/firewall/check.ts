/** What a rule that reads well may still not be. */
import { invalid } from '../../base/errors.ts';
import { isMachineTarget } from './rule.ts';
import type { Rule, Service, Target } from './rule.ts';

const mostTargets = 24;
const mostServices = 24;

export const checkRule = ({ from, to, service }: Rule): void => {
  const all = [...from, ...to];
  if (!all.some(isMachineTarget)) throw invalid('rule', 'rule does not affect VMs', 'one side names machines: a tag, a vm or all vms');
  if (from.length > mostTargets || to.length > mostTargets) throw invalid('rule', `maximum of ${mostTargets} targets allowed per side`);
  if (countOf(service) > mostServices) throw invalid('rule', `maximum of ${mostServices} ${'types' in service ? 'types' : 'ports'} allowed`);
  if (service.protocol === 'icmp') demandFamily(all, 4);
  if (service.protocol === 'icmp6') demandFamily(all, 6);
};

const countOf = (service: Service): number => {
  const items = 'ports' in service ? service.ports : 'types' in service ? service.types : 'all';
  return items === 'all' ? 1 : items.length;
};

const demandFamily = (targets: readonly Target[], family: 4 | 6): void => {
  for (const target of targets) {
    const text = target.kind === 'ip' ? target.address : target.kind === 'subnet' ? target.subnet : undefined;
    if (text === undefined || text.includes(':') === (family === 6)) continue;
    throw invalid('rule', `rule affects ICMPv${family} but contains a non-IPv${family} ${target.kind === 'ip' ? 'address' : 'subnet'}`);
  }
};
