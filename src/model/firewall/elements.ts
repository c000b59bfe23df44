/**
 * Elements of a set of (address, other address, protocol, port range) that never overlap, whatever the rules: packet filters refuse
 * sets in which two elements hold the same packet.
 */
import { contains, widthOf } from '../address.ts';
import type { Cidr } from '../address.ts';
import { unite, without } from './ranges.ts';
import type { PortRange, Service } from './rule.ts';

/** With how it is written, which is asked for again and again. */
export interface WrittenCidr extends Cidr {
  text: string;
}

/** What one rule says of one pair; null is an address that the set does not look at. */
export interface Box extends PortRange {
  local: WrittenCidr | null;
  remote: WrittenCidr | null;
  protocol: Service['protocol'];
}

export interface Element extends PortRange {
  local: string | null;
  remote: string | null;
  protocol: Service['protocol'];
}

/** The boxes' union. Subnets are inside each other or apart, so it is enough to take from each what the wider ones say already. */
export const disjointElements = (boxes: readonly Box[]): Element[] => {
  const groups = Map.groupBy(boxes, ({ local, protocol }) => `${local?.text ?? ''} ${protocol}`);
  return [...groups.values()].flatMap((group) => {
    const { local, protocol } = group[0]!;
    const bySubnet = Map.groupBy(group, ({ remote }) => remote?.text ?? null);
    const subnets = [...bySubnet].map(([text, same]) => ({ text, cidr: same[0]!.remote, ranges: unite(same) }));
    const wide = subnets.filter(({ cidr }) => cidr !== null && cidr.length < widthOf(cidr.family));
    return subnets.flatMap(({ text, cidr, ranges }) => {
      const wider = cidr === null ? [] : wide.filter((other) => other.text !== text && contains(other.cidr!, cidr));
      const left = without(ranges, unite(wider.flatMap((other) => other.ranges)));
      return left.map((range) => ({ local: local?.text ?? null, remote: text, protocol, ...range }));
    });
  });
};
