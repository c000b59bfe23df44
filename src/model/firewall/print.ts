/** The canonical text of a rule, to the letter as Triton writes it: programs compare it. */
import type { IcmpType, PortRange, Rule, Service, Target } from './rule.ts';

export const printRule = ({ from, to, action, service, priority }: Rule): string =>
  `FROM ${side(from)} TO ${side(to)} ${action.toUpperCase()} ${serviceText(service)}${priority > 0 ? ` PRIORITY ${priority}` : ''}`;

const side = (targets: readonly Target[]): string => (targets.length === 1 ? targetText(targets[0]!) : `(${targets.map(targetText).join(' OR ')})`);

const targetText = (target: Target): string => {
  switch (target.kind) {
    case 'any':
      return 'any';
    case 'all':
      return 'all vms';
    case 'ip':
      return `ip ${target.address}`;
    case 'subnet':
      return `subnet ${target.subnet}`;
    case 'tag':
      return `tag ${quote(target.name)}${target.value === null ? '' : ` = ${quote(target.value)}`}`;
    case 'vm':
      return `vm ${target.id}`;
  }
};

const serviceText = (service: Service): string => {
  if ('ports' in service) return `${service.protocol} ${portsText(service.ports)}`;
  return 'types' in service ? `${service.protocol} ${listText('TYPE', service.types, typeText)}` : service.protocol;
};

/** `PORTS` only with a range in it; single ports are a list of `PORT`. */
const portsText = (ports: PortRange[] | 'all'): string => {
  if (ports === 'all' || ports.every(({ from, to }) => from === to)) return listText('PORT', ports, ({ from }) => String(from));
  return `PORTS ${ports.map(({ from, to }) => (from === to ? String(from) : `${from} - ${to}`)).join(', ')}`;
};

const listText = <Item>(keyword: string, items: readonly Item[] | 'all', text: (item: Item) => string): string => {
  if (items === 'all') return `${keyword} all`;
  const all = items.map((item) => `${keyword} ${text(item)}`).join(' AND ');
  return items.length > 1 ? `(${all})` : all;
};

const typeText = ({ type, code }: IcmpType): string => (code === null ? String(type) : `${type} CODE ${code}`);

const letters: Readonly<Record<string, string>> = { '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f' };

/** What cannot be seen, or could be taken for a space, is written out; parentheses because older parsers want it. */
const quote = (text: string): string => {
  const escaped = text.replaceAll(/["()\\\u0000-\u001f\u007f\u0085\u00a0\u1680\u180e\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]/g, (found) => {
    if ('"()\\'.includes(found)) return `\\${found}`;
    return `\\${letters[found] ?? `u${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`}`;
  });
  return `"${escaped}"`;
};
