/** Names of addresses, beneath in-addr.arpa and ip6.arpa, and the zones that such names of a subnet are in. */
import { isIPv4, isIPv6 } from 'node:net';
import { ipv6Words } from './ipv6.ts';

const partsOf = (address: string): { parts: string[]; bits: number; suffix: string } =>
  isIPv6(address)
    ? { parts: ipv6Words(address).flatMap((word) => word.toString(16).padStart(4, '0').split('')), bits: 4, suffix: 'ip6.arpa' }
    : { parts: address.split('.'), bits: 8, suffix: 'in-addr.arpa' };

export const reverseName = (address: string): string => {
  const { parts, suffix } = partsOf(address);
  return [...parts.toReversed(), suffix].join('.');
};

/** The address that such a name is of; undefined for one that is not whole. */
export const addressOfReverse = (name: string): string | undefined => {
  const ipv4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (ipv4 !== null) {
    const address = ipv4.slice(1).toReversed().join('.');
    return isIPv4(address) ? address : undefined;
  }
  const ipv6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  if (ipv6 === null) return undefined;
  return ipv6[1]!
    .split('.')
    .slice(0, 32)
    .toReversed()
    .join('')
    .replaceAll(/(....)(?=.)/g, '$1:');
};

/** In whole parts: a subnet that ends within one has as many zones as there are values left in it. */
export const reverseZones = (cidr: string): string[] => {
  const [address = '', prefixText = ''] = cidr.split('/');
  const prefix = Number(prefixText);
  const { parts, bits, suffix } = partsOf(address);
  const count = Math.max(1, Math.ceil(prefix / bits));
  const [last, base] = [parts[count - 1]!, bits === 4 ? 16 : 10];
  const values = 2 ** (count * bits - prefix);
  return Array.from({ length: values }, (_, index) => {
    const value = (Number.parseInt(last, base) + index).toString(base);
    return [value, ...parts.slice(0, count - 1).toReversed(), suffix].join('.');
  });
};
