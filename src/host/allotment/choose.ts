/** Choosing what an instance gets, from what is free: pure, so that every rule can be tested without a host. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { formatCores, formatMib } from '../../base/units.ts';
import { defaultRoot, uidBlockSize } from '../../model/instance.ts';
import type { AllottedInstance, Share } from './record.ts';

export interface AddressRange {
  /** Any address inside. */
  first: number;
  mask: number;
}
export interface IdRange {
  first: number;
  count: number;
}
export type Totals = Share;

const firstUidBlock = 0x2000_0000;
const endOfUidBlocks = 0x7000_0000;
const mostInstances = 64;
/** What an instance without figures of its own takes of what is free, when it is not the one that has the rest. */
const shareOfFree = 0.25;
const leastShare: Share = { cpuMillis: 10, memoryMib: 64 };

/** The default root's instance is `default`; others are named after their directory, and after a digest of it where that is taken. */
export const chooseName = (root: string, taken: ReadonlySet<string>): string => {
  if (root === defaultRoot && !taken.has('default')) return 'default';
  const plain = basename(root)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
    .slice(0, 12);
  if (plain !== '' && !taken.has(plain)) return plain;
  for (let round = 0; ; round += 1) {
    const name = createHash('sha256').update(`${root}\n${round}`).digest('hex').slice(0, 12);
    if (!taken.has(name)) return name;
  }
};

export const chooseNumber = (taken: ReadonlySet<number>): number => {
  for (let number = 0; number < mostInstances; number += 1) if (!taken.has(number)) return number;
  throw new CenoteError('not_enough', `this host has ${mostInstances} instances of Cenote already`, {
    advice: 'destroy one: `cenote --root DIR destroy --yes`',
  });
};

export const chooseUidBlock = (taken: ReadonlySet<number>, used: readonly IdRange[]): number => {
  for (let first = firstUidBlock; first < endOfUidBlocks; first += uidBlockSize) {
    const overlaps = used.some((range) => range.first < first + uidBlockSize && first < range.first + range.count);
    if (!taken.has(first) && !overlaps) return first;
  }
  const blocks = (endOfUidBlocks - firstUidBlock) / uidBlockSize;
  throw new CenoteError(
    'not_enough',
    `no uid range is left: all ${blocks} blocks of 1,024 machines are given away or overlap /etc/subuid or /etc/subgid (${taken.size} are Cenote's)`,
  );
};

/** Candidates in order of preference; a host that has one of the first in use gets the next. */
export const chooseSubnet = (number: number, taken: ReadonlySet<string>, used: readonly AddressRange[]): string => {
  for (const subnet of subnetCandidates(number)) {
    const range = { first: addressToNumber(subnet.split('/')[0]!), mask: 0xffff_0000 };
    if (!taken.has(subnet) && !used.some((other) => overlaps(range, other))) return subnet;
  }
  throw new CenoteError('not_enough', 'every private network of 65,536 addresses is in use on this host', {
    advice: 'take away a route that covers 10.0.0.0/8 or 172.16.0.0/12',
  });
};

function* subnetCandidates(number: number): Generator<string> {
  for (let step = 0; step < 64; step += 1) yield `10.${64 + ((number + step) % 64)}.0.0/16`;
  for (let second = 128; second < 256; second += 1) yield `10.${second}.0.0/16`;
  for (let second = 16; second < 32; second += 1) yield `172.${second}.0.0/16`;
}

/** A mask of 0 (the default route) covers everything and is no clash; that is left to the caller. */
const overlaps = (a: AddressRange, b: AddressRange): boolean => {
  const mask = (a.mask & b.mask) >>> 0;
  return (a.first & mask) >>> 0 === (b.first & mask) >>> 0;
};

export const addressToNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** Kept for the host itself: its services, the agent and the kernel. */
export const reserveOf = (totals: Totals): Share => ({
  cpuMillis: Math.max(50, Math.floor(totals.cpuMillis * 0.05)),
  memoryMib: Math.min(Math.max(384, Math.floor(totals.memoryMib * 0.05)), Math.floor(totals.memoryMib / 2)),
});

/** What no instance has as a share of its own; the instance that has the rest has this. */
export const unsharedOf = (totals: Totals, instances: readonly Pick<AllottedInstance, 'share'>[]): Share => {
  const reserve = reserveOf(totals);
  const given = (key: keyof Share) => instances.reduce((sum, { share }) => sum + (share?.[key] ?? 0), 0);
  return { cpuMillis: totals.cpuMillis - reserve.cpuMillis - given('cpuMillis'), memoryMib: totals.memoryMib - reserve.memoryMib - given('memoryMib') };
};

export interface ShareRequest {
  root: string;
  cpuMillis?: number | undefined;
  memoryMib?: number | undefined;
  /** Guaranteed already by the instance that has the rest: cannot be given away. */
  promised?: Share | undefined;
}

/** Null is the rest: for the default root, unless figures are asked for. Never more than what is free. */
export const chooseShare = (request: ShareRequest, totals: Totals, others: readonly AllottedInstance[]): Share | null => {
  const asked = request.cpuMillis !== undefined || request.memoryMib !== undefined;
  if (!asked && request.root === defaultRoot && others.every(({ share }) => share !== null)) return null;
  const unshared = unsharedOf(totals, others);
  const choose = (key: keyof Share, format: (value: number) => string, what: string): number => {
    const free = unshared[key] - (request.promised?.[key] ?? 0);
    const wanted = request[key] ?? Math.max(leastShare[key], Math.floor(free * shareOfFree));
    if (wanted <= free && wanted >= leastShare[key]) return wanted;
    if (wanted < leastShare[key])
      throw new CenoteError('invalid_argument', `${what} for an instance must be at least ${format(leastShare[key])}`, {
        fields: [{ field: key, message: 'too small' }],
      });
    const parts = `the host has ${format(totals[key])}, keeps ${format(reserveOf(totals)[key])}, other instances have ${format(totals[key] - reserveOf(totals)[key] - Math.max(free, 0))}`;
    throw new CenoteError('not_enough', `${format(wanted)} ${what} asked for, ${format(Math.max(free, 0))} free: ${parts}`, {
      fields: [{ field: key, message: `at most ${format(Math.max(free, 0))}` }],
    });
  };
  return { cpuMillis: choose('cpuMillis', formatCores, 'CPU'), memoryMib: choose('memoryMib', formatMib, 'memory') };
};
