/** The instance's IPv4 subnet: which address is the gateway, which belong to machines, and the MAC that goes with an address. */
import { isIPv4 } from 'node:net';
import { invalid } from '../../base/errors.ts';
import { macOf } from '../../model/mac.ts';

export interface Subnet {
  /** As written in routes and rules: `10.80.0.0/16`. */
  cidr: string;
  first: number;
  prefix: number;
  size: number;
  gateway: string;
}

export const addressToNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
export const addressFromNumber = (value: number): string => [24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 255).join('.');
export const addressBytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

export const parseSubnet = (field: string, cidr: string): Subnet => {
  const [network = '', prefixText = '', ...rest] = cidr.split('/');
  if (!isIPv4(network) || !/^\d{1,2}$/.test(prefixText) || rest.length > 0) throw invalid(field, `"${cidr}" is not an IPv4 subnet such as 10.80.0.0/16`);
  const prefix = Number(prefixText);
  if (prefix < 8 || prefix > 29) throw invalid(field, `"${cidr}" has a prefix of ${prefix}; it must be 8 to 29`);
  const size = 2 ** (32 - prefix);
  const first = addressToNumber(network);
  if (first % size !== 0) throw invalid(field, `"${cidr}" does not begin at the start of a /${prefix}`);
  return { cidr, first, prefix, size, gateway: addressFromNumber(first + 1) };
};

/** Any address of the subnet but its first (the network), the gateway and its last (broadcast, by custom). */
export const isMachineAddress = (subnet: Subnet, address: string): boolean => {
  if (!isIPv4(address)) return false;
  const offset = addressToNumber(address) - subnet.first;
  return offset >= 2 && offset < subnet.size - 1;
};

export const macBytes = (address: string): Buffer => Buffer.from(macOf(address).replaceAll(':', ''), 'hex');
