/**
 * A subnet of either family: which addresses machines may have in it, and an address as its place, the number of steps from the subnet's own.
 * Places fit any database and any language; addresses are for people and packets. Of an IPv6 subnet there are more addresses than that, so
 * its places are the first 2^53: `fd00::` to `fd00::1f:ffff:ffff:ffff`.
 */
import { invalid } from '../base/errors.ts';
import { formatAddress, parseAddress, widthOf } from './address.ts';
import type { Family } from './address.ts';

export interface Subnet {
  /** As written in routes and rules: `10.80.0.0/16`. */
  cidr: string;
  family: Family;
  first: bigint;
  prefix: number;
  /** How many places there are. */
  size: number;
  /** Where machines send what is not for themselves. */
  gateway: string;
}

/** Where packets go, as one route has it. */
export type Destination = Omit<Subnet, 'gateway'>;

const largestSize = 2 ** 53;

type Prefixes = Readonly<Record<Family, readonly [least: number, most: number]>>;

const routePrefixes: Prefixes = { 4: [1, 32], 6: [1, 128] };
/** In IPv6 those that are given to hosts, and their parts. */
const subnetPrefixes: Prefixes = { 4: [8, 29], 6: [32, 125] };
const examples: Readonly<Record<Family, string>> = { 4: '10.80.0.0/16', 6: 'fd00:10::/64' };

export const parseDestination = (field: string, cidr: string, prefixes = routePrefixes): Destination => {
  const [network = '', prefixText = '', ...more] = cidr.split('/');
  const address = parseAddress(network.toLowerCase());
  if (address === undefined || !/^\d{1,3}$/.test(prefixText) || more.length > 0)
    throw invalid(field, `"${cidr.slice(0, 60)}" is not a subnet such as ${examples[4]} or ${examples[6]}`);
  const { family, value: first } = address;
  const prefix = Number(prefixText);
  const [least, most] = prefixes[family];
  if (prefix < least || prefix > most) throw invalid(field, `"${cidr}" has a prefix of ${prefix}; it must be ${least} to ${most}`);
  const rest = BigInt(widthOf(family) - prefix);
  const start = (first >> rest) << rest;
  const text = `${formatAddress({ family, value: start })}/${prefix}`;
  if (start !== first) throw invalid(field, `"${cidr}" does not begin at the start of a /${prefix}; ${text} does`);
  return { cidr: text, family, first, prefix, size: Math.min(2 ** Number(rest), largestSize) };
};

/** Without a gateway it is the first address after the subnet's own. */
export const parseSubnet = (field: string, cidr: string, gateway?: string): Subnet => {
  const destination = parseDestination(field, cidr, subnetPrefixes);
  return { ...destination, gateway: gateway ?? addressAt(destination, 1) };
};

/** Null for an address outside, for what is none, and for one written otherwise than we do. */
export const placeOf = (subnet: Pick<Subnet, 'first' | 'size' | 'family'>, text: string): number | null => {
  const address = parseAddress(text);
  if (address?.family !== subnet.family || formatAddress(address) !== text) return null;
  const place = address.value - subnet.first;
  return place >= 0n && place < BigInt(subnet.size) ? Number(place) : null;
};

export const addressAt = ({ first, family }: Pick<Subnet, 'first' | 'family'>, place: number): string =>
  formatAddress({ family, value: first + BigInt(place) });

/** The subnet's own address. */
export const firstOf = (subnet: Pick<Subnet, 'first' | 'family'>): string => addressAt(subnet, 0);

/** Any address of the subnet but its first (the network, or any router of it), the gateway and its last (broadcast, by custom). */
export const isMachineAddress = (subnet: Subnet, address: string): boolean => {
  const place = placeOf(subnet, address);
  return place !== null && place > 0 && place < subnet.size - 1 && address !== subnet.gateway;
};

/** As CloudAPI has it of IPv4; of IPv6, whose masks nobody writes, in the same form. */
export const netmaskOf = ({ family, prefix }: Pick<Subnet, 'family' | 'prefix'>): string => {
  const rest = BigInt(widthOf(family) - prefix);
  return formatAddress({ family, value: ((1n << BigInt(prefix)) - 1n) << rest });
};

export const overlaps = (one: Destination, other: Destination): boolean => {
  const rest = BigInt(widthOf(one.family) - Math.min(one.prefix, other.prefix));
  return one.family === other.family && one.first >> rest === other.first >> rest;
};

export const isWithin = (inner: Destination, outer: Destination): boolean => inner.prefix >= outer.prefix && overlaps(inner, outer);
