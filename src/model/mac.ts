/**
 * The MAC that goes with an address: locally administered, and made from it, so that a machine keeps it for as long as it keeps its address. An
 * IPv6 address is longer: its MAC is made from what follows from the whole of it.
 */
import { createHash } from 'node:crypto';
import { addressBytes } from './address.ts';

export const macBytes = (address: string): Buffer => {
  const bytes = addressBytes(address);
  return bytes.length === 4
    ? Buffer.concat([Buffer.from([0x02, 0xce]), bytes])
    : Buffer.concat([Buffer.from([0x06]), createHash('sha256').update(bytes).digest().subarray(0, 5)]);
};

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lists say it a thousand times: of an IPv4 address from its text. */
export const macOf = (address: string): string =>
  address.includes(':')
    ? Array.from(macBytes(address), (byte) => hex[byte]).join(':')
    : `02:ce:${address
        .split('.', 4)
        .map((part) => hex[Number(part)])
        .join(':')}`;
