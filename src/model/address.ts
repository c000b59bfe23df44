/** Addresses and subnets of both families. No leading zeros, no mixed notation: what reads in two ways is not an address. */
import { isIPv4 } from 'node:net';

export type Family = 4 | 6;

export interface Address {
  family: Family;
  value: bigint;
}

export interface Cidr extends Address {
  /** Of the prefix. */
  length: number;
}

export const widthOf = (family: Family): number => (family === 4 ? 32 : 128);

/** Of what is known to be an address. */
export const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4);

export const parseAddress = (text: string): Address | undefined => (text.includes(':') ? parse6(text) : parse4(text));

export const wholeAddress = (address: Address): Cidr => ({ ...address, length: widthOf(address.family) });

export const contains = (outer: Cidr, inner: Address & { length?: number }): boolean => {
  if (outer.family !== inner.family || (inner.length ?? widthOf(inner.family)) < outer.length) return false;
  const rest = BigInt(widthOf(outer.family) - outer.length);
  return outer.value >> rest === inner.value >> rest;
};

/** Whether the address is the first of the subnet: nothing is set beyond the prefix. */
export const isAligned = ({ family, value, length }: Cidr): boolean => {
  const rest = BigInt(widthOf(family) - length);
  return (value >> rest) << rest === value;
};

/** As RFC 5952 has IPv6: small letters, and the longest run of zeros left out. Of an address there is one such text, by which it is compared. */
export const formatAddress = ({ family, value }: Address): string => (family === 4 ? format4(value) : format6(value));

/** A subnet, or an address when it is a single one. */
export const formatCidr = (cidr: Cidr): string => (cidr.length === widthOf(cidr.family) ? formatAddress(cidr) : `${formatAddress(cidr)}/${cidr.length}`);

/** What people write in their own way, as it is kept; what is no address as it is. */
export const canonicalAddress = (text: string): string => {
  const address = parseAddress(text.toLowerCase());
  return address === undefined ? text : formatAddress(address);
};

/** As in packets. */
export const addressBytes = (text: string): Buffer => {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${JSON.stringify(text)} is not an address`);
  return Buffer.from(address.value.toString(16).padStart(32, '0'), 'hex');
};

export const addressFromBytes = (bytes: Uint8Array): string =>
  formatAddress({ family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${Buffer.from(bytes).toString('hex')}`) });

const format4 = (value: bigint): string => [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');

const format6 = (value: bigint): string => {
  const groups = Array.from({ length: 8 }, (_, at) => ((value >> BigInt(112 - 16 * at)) & 0xffffn).toString(16));
  let [start, length] = [0, 1];
  for (let at = 0; at < 8; at += 1) {
    const end = groups.findIndex((group, index) => index >= at && group !== '0');
    const run = (end === -1 ? 8 : end) - at;
    if (run > length) [start, length] = [at, run];
  }
  return length === 1 ? groups.join(':') : `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
};

const parse4 = (text: string): Address | undefined => {
  if (!isIPv4(text)) return undefined;
  return { family: 4, value: BigInt(text.split('.').reduce((value, part) => value * 256 + Number(part), 0)) };
};

const groups6 = (text: string): string[] => (text === '' ? [] : text.split(':'));

const parse6 = (text: string): Address | undefined => {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [before = '', after] = halves;
  const head = groups6(before);
  const tail = after === undefined ? [] : groups6(after);
  const missing = 8 - head.length - tail.length;
  if (after === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined;
  return { family: 6, value: groups.reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n) };
};
