/** The canonical order of a rule's lists: what two people write differently is one rule. */
import type { IcmpType, PortRange, Target } from './rule.ts';

const kinds: readonly Target['kind'][] = ['any', 'all', 'ip', 'subnet', 'tag', 'vm'];

/** What a target is sorted by within its kind, and known again by. */
const keyOf = (target: Target): string[] => {
  switch (target.kind) {
    case 'any':
    case 'all':
      return [];
    case 'ip':
      return [target.address];
    case 'subnet':
      return [target.subnet];
    case 'tag':
      return target.value === null ? [target.name] : [target.name, target.value];
    case 'vm':
      return [target.id];
  }
};

const compare = (one: readonly (string | number)[], other: readonly (string | number)[]): number => {
  for (const [index, part] of one.entries()) {
    const against = other[index];
    if (against === undefined || part > against) return 1;
    if (part < against) return -1;
  }
  return one.length - other.length;
};

/** Without repeats, and without values of a tag that is named as a whole beside them. */
export const sortTargets = (targets: readonly Target[]): Target[] => {
  const whole = new Set(targets.flatMap((target) => (target.kind === 'tag' && target.value === null ? [target.name] : [])));
  const seen = new Map(
    targets
      .filter((target) => target.kind !== 'tag' || target.value === null || !whole.has(target.name))
      .map((target) => [JSON.stringify([target.kind, ...keyOf(target)]), target]),
  );
  return [...seen.values()].toSorted((one, other) => compare([kinds.indexOf(one.kind), ...keyOf(one)], [kinds.indexOf(other.kind), ...keyOf(other)]));
};

export const sortPorts = (ports: readonly PortRange[]): PortRange[] => ports.toSorted((one, other) => one.from - other.from || one.to - other.to);

export const sortTypes = (types: readonly IcmpType[]): IcmpType[] =>
  types.toSorted((one, other) => one.type - other.type || (one.code ?? -1) - (other.code ?? -1));
