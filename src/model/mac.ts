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

export const macOf = (address: string): string =>
  macBytes(address)
    .toString('hex')
    .replaceAll(/..(?=.)/g, '$&:');
