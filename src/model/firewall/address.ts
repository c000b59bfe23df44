/** Addresses and subnets of both families, as firewall rules write them. No leading zeros, no mixed notation: what reads in two ways is not an address. */

export interface Address {
  family: 4 | 6;
  value: bigint;
}

export interface Cidr extends Address {
  /** Of the prefix. */
  length: number;
}

export const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

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

/** An IPv4 subnet, or an address when it is a single one. */
export const formatCidr4 = ({ value, length }: Cidr): string => {
  const address = [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  return length === 32 ? address : `${address}/${length}`;
};

const parse4 = (text: string): Address | undefined => {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined;
  return { family: 4, value: parts.reduce((value, part) => value * 256n + BigInt(part), 0n) };
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
