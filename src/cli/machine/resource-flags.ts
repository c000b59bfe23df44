/** The flags that say how much a machine is guaranteed and may take, shared by create, run, resize and packages; and how it is said again. */
import { formatCpu, formatMib, parseCpuMillis } from '../../base/units.ts';
import { least, mostProcesses } from '../../model/resource-limits.ts';
import { defaultResources } from '../../model/default-resources.ts';
import type { CpuBurst, Resources } from '../../model/resources.ts';
import { flagName, parsed } from '../command.ts';
import type { FlagValue } from '../command.ts';
import { formatCpuRange, formatMbps, formatMibps, formatSizeRange, parseCount } from '../format.ts';
import {
  parseBurst,
  parseCpuCeiling,
  parseDisk,
  parseIopsLimit,
  parseMbps,
  parseMbpsCeiling,
  parseMemory,
  parseMemoryCeiling,
  parseMibpsLimit,
} from '../values.ts';

export const resourceFlags = {
  cpu: parsed('CORES', parseCpuMillis, 'CPU guarantee, such as 0.5'),
  cpuCeiling: parsed('CORES', parseCpuCeiling, 'the most CPU it may take; none for the whole host'),
  cpuBurst: parsed(
    'CORES:TIME',
    parseBurst,
    "above this baseline only for so long at the ceiling (without one, at all the host's cores), then by what it saved; none",
  ),
  memory: parsed('SIZE', parseMemory, 'memory guarantee, such as 256M'),
  memoryCeiling: parsed('SIZE', parseMemoryCeiling, 'the most memory it may take; none for the whole pool'),
  disk: parsed('SIZE', parseDisk, 'disk quota, such as 5G'),
  processes: parsed('N', parseCount(least.processes, mostProcesses), 'processes and threads at once'),
  ioWeight: parsed('N', parseCount(1, 1000), "share of the disk's time beside others, 1 to 1000 (default 100)"),
  ioRead: parsed('SIZE', parseMibpsLimit, 'the most it reads a second, such as 50M; none'),
  ioWrite: parsed('SIZE', parseMibpsLimit, 'the most it writes a second; none'),
  ioReadOps: parsed('N', parseIopsLimit, 'the most reads a second; none'),
  ioWriteOps: parsed('N', parseIopsLimit, 'the most writes a second; none'),
  net: parsed('MBPS', parseMbps, 'network guarantee each way in Mbit/s, such as 100 or 2.5G'),
  netCeiling: parsed('MBPS', parseMbpsCeiling, 'the most its link carries each way; none'),
} as const;

type ResourceValues = { [K in keyof typeof resourceFlags]: FlagValue<(typeof resourceFlags)[K]> };

/** For advice: every flag there is. */
export const resourceFlagNames = Object.keys(resourceFlags).map(flagName).join(', ');

const orNull = <T extends number | CpuBurst>(given: T | 'none' | undefined): T | null | undefined => (given === 'none' ? null : given);

/** Only what was given; undefined when nothing was. */
export const givenResources = (flags: ResourceValues): Partial<Resources> | undefined => {
  const all: { [K in keyof Resources]: Resources[K] | undefined } = {
    cpuMillis: flags.cpu,
    cpuCeilingMillis: orNull(flags.cpuCeiling),
    burst: orNull(flags.cpuBurst),
    memoryMib: flags.memory,
    memoryCeilingMib: orNull(flags.memoryCeiling),
    diskMib: flags.disk,
    processes: flags.processes,
    ioWeight: flags.ioWeight,
    ioReadMibps: orNull(flags.ioRead),
    ioWriteMibps: orNull(flags.ioWrite),
    ioReadIops: orNull(flags.ioReadOps),
    ioWriteIops: orNull(flags.ioWriteOps),
    networkMbps: flags.net,
    networkCeilingMbps: orNull(flags.netCeiling),
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, number]) => number !== undefined)) as Partial<Resources>;
  return Object.keys(given).length > 0 ? given : undefined;
};

export const formatBurst = (burst: CpuBurst): string => `${formatCpu(burst.baselineMillis)} cores without end, ${burst.burstSeconds}s at the ceiling`;

/** `weight 100, reads 50M/s and 200 a second`. */
export const formatIo = ({ ioWeight, ioReadMibps, ioWriteMibps, ioReadIops, ioWriteIops }: Resources): string => {
  const limits = (what: string, mibps: number | null, iops: number | null): string[] => {
    const parts = [mibps === null ? [] : [formatMibps(mibps)], iops === null ? [] : [`${iops} a second`]].flat();
    return parts.length === 0 ? [] : [`${what} at most ${parts.join(' and ')}`];
  };
  return [`weight ${ioWeight}`, ...limits('reads', ioReadMibps, ioReadIops), ...limits('writes', ioWriteMibps, ioWriteIops)].join(', ');
};

export const formatNetwork = ({ networkMbps, networkCeilingMbps }: Resources): string => {
  if (networkMbps === 0) return networkCeilingMbps === null ? 'none guaranteed' : `none guaranteed, at most ${formatMbps(networkCeilingMbps)}`;
  return networkCeilingMbps === null ? formatMbps(networkMbps) : `${networkMbps}..${formatMbps(networkCeilingMbps)}`;
};

/** One line: what every machine has, and of the rest what was chosen. */
export const describeResources = (resources: Resources): string =>
  [
    `${formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis)} CPU`,
    ...(resources.burst === null ? [] : [`burst (${formatBurst(resources.burst)})`]),
    `${formatSizeRange(resources.memoryMib, resources.memoryCeilingMib)} memory`,
    `${formatMib(resources.diskMib)} disk`,
    `${resources.processes} processes`,
    ...(formatIo(resources) === formatIo(defaultResources) ? [] : [`I/O ${formatIo(resources)}`]),
    ...(resources.networkMbps === 0 && resources.networkCeilingMbps === null ? [] : [`network ${formatNetwork(resources)}`]),
  ].join(', ');
