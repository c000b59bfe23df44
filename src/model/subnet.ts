/**
 * An IPv4 subnet: which addresses machines may have in it, and an address as its place, the number of steps from the subnet's own. Places
 * fit any database and any language; addresses are for people and packets.
 */
import { isIPv4 } from 'node:net';
import { invalid } from '../base/errors.ts';

export interface Subnet {
  /** As written in routes and rules: `10.80.0.0/16`. */
  cidr: string;
  first: number;
  prefix: number;
  size: number;
  /** Where machines send what is not for themselves. */
  gateway: string;
}

export const addressToNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
export const addressFromNumber = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
export const addressBytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

/** Where packets go, as one route has it. */
export type Destination = Omit<Subnet, 'gateway'>;

export const parseDestination = (field: string, cidr: string, [least, most]: readonly [number, number] = [1, 32]): Destination => {
  const [network = '', prefixText = '', ...rest] = cidr.split('/');
  if (!isIPv4(network) || !/^\d{1,2}$/.test(prefixText) || rest.length > 0) throw invalid(field, `"${cidr}" is not an IPv4 subnet such as 10.80.0.0/16`);
  const prefix = Number(prefixText);
  if (prefix < least || prefix > most) throw invalid(field, `"${cidr}" has a prefix of ${prefix}; it must be ${least} to ${most}`);
  const size = 2 ** (32 - prefix);
  const first = addressToNumber(network);
  if (first % size !== 0)
    throw invalid(field, `"${cidr}" does not begin at the start of a /${prefix}; ${addressFromNumber(first - (first % size))}/${prefix} does`);
  return { cidr, first, prefix, size };
};

const subnetPrefixes = [8, 29] as const;

/** Without a gateway it is the first address after the subnet's own. */
export const parseSubnet = (field: string, cidr: string, gateway?: string): Subnet => {
  const destination = parseDestination(field, cidr, subnetPrefixes);
  return { ...destination, gateway: gateway ?? addressFromNumber(destination.first + 1) };
};

/** Null for an address outside, and for what is none. */
export const placeOf = ({ first, size }: Pick<Subnet, 'first' | 'size'>, address: string): number | null => {
  if (!isIPv4(address)) return null;
  const place = addressToNumber(address) - first;
  return place >= 0 && place < size ? place : null;
};

export const addressAt = ({ first }: Pick<Subnet, 'first'>, place: number): string => addressFromNumber(first + place);

/** Any address of the subnet but its first (the network), the gateway and its last (broadcast, by custom). */
export const isMachineAddress = (subnet: Subnet, address: string): boolean => {
  const place = placeOf(subnet, address);
  return place !== null && place > 0 && place < subnet.size - 1 && address !== subnet.gateway;
};

export const netmaskOf = ({ size }: Pick<Subnet, 'size'>): string => addressFromNumber(2 ** 32 - size);

export const overlaps = (one: Pick<Subnet, 'first' | 'size'>, other: Pick<Subnet, 'first' | 'size'>): boolean =>
  one.first < other.first + other.size && other.first < one.first + one.size;
