/** What the host has and uses already, as far as it matters to what is given to instances. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, networkInterfaces, totalmem } from 'node:os';
import { detectLayout, treesOf } from '../cgroup/layout.ts';
import { parentPaths } from '../cgroup/parent.ts';
import { addressToNumber } from './choose.ts';
import type { AddressRange, IdRange, Totals } from './choose.ts';

export interface HostFacts {
  totals(): Totals;
  /** Every destination with a route or an address of this host. */
  usedAddresses(): AddressRange[];
  /** User and group ids already promised to others. */
  usedIds(): IdRange[];
  /** Whether control groups of this instance's machines are there. */
  isOnHost(instance: string): boolean;
}

export const hostFacts = (): HostFacts => ({
  totals: () => ({ cpuMillis: availableParallelism() * 1000, memoryMib: Math.floor(totalmem() / 1024 / 1024) }),
  usedAddresses: () => [...parseRoutes(readOrEmpty('/proc/net/route')), ...ownAddresses()],
  isOnHost: (instance) => treesOf(detectLayout()).some((tree) => parentPaths(instance).some((group) => existsSync(`${tree}${group}`))),
  usedIds: () => ['/etc/subuid', '/etc/subgid'].flatMap((path) => parseSubordinateIds(readOrEmpty(path))),
});

/** `/proc/net/route`: addresses are hexadecimal in the machine's own (little endian) byte order. The default route is no clash. */
export const parseRoutes = (text: string): AddressRange[] =>
  text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      if (fields.length < 8) return [];
      const mask = swapBytes(fields[7]!);
      return mask === 0 ? [] : [{ first: swapBytes(fields[1]!), mask }];
    });

/** `/etc/subuid` and `/etc/subgid`: name:first:count. */
export const parseSubordinateIds = (text: string): IdRange[] =>
  text.split('\n').flatMap((line) => {
    const match = /^[^:#]+:(\d{1,10}):(\d{1,10})\s*$/.exec(line);
    return match === null ? [] : [{ first: Number(match[1]), count: Number(match[2]) }];
  });

const ownAddresses = (): AddressRange[] =>
  Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address, netmask }) => ({ first: addressToNumber(address), mask: addressToNumber(netmask) })),
  );

const swapBytes = (hex: string): number => Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE();

const readOrEmpty = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
