/** The report as two tables. Pure. */
import { formatCores, formatMib } from '../../base/units.ts';
import { formatCpuRange, formatMbps, formatSizeRange } from '../format.ts';
import { formatIo } from '../machine/resource-flags.ts';
import type { Resources } from '../../model/resources.ts';
import type { Column } from '../table.ts';
import type { MachineReport, PoolReport, ResourceReport } from './report.ts';

export const cores = (millis: number): string => (millis / 1000).toFixed(2);
export const mibps = (rate: number): string => `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}M/s`;
export const mbps = (rate: number): string => `${rate < 10 ? Number(rate.toFixed(1)) : Math.round(rate)}`;

const formats: Record<ResourceReport['unit'], (value: number) => string> = {
  millis: cores,
  mib: formatMib,
  mibps,
  mbps: (rate) => formatMbps(Number(mbps(rate))),
};
const names: Record<ResourceReport['resource'], string> = {
  cpu: 'CPU (cores)',
  memory: 'memory',
  disk: 'disk',
  io: 'disk I/O',
  network: 'network',
};

const cellOf = (key: 'capacity' | 'reserve' | 'elsewhere' | 'guaranteed' | 'left' | 'used' | 'borrowed' | 'free') => (row: ResourceReport) => {
  const value = row[key];
  return value === null ? '-' : formats[row.unit](value);
};

export const resourceColumns: readonly Column<ResourceReport>[] = [
  {
    title: 'RESOURCE',
    cell: ({ resource, overcommit }) => `${names[resource]}${overcommit === null || overcommit === 1 ? '' : `, promised ${overcommit} times`}`,
  },
  { title: 'CAPACITY', cell: cellOf('capacity'), right: true },
  { title: 'RESERVE', cell: cellOf('reserve'), right: true, yields: 1 },
  { title: 'ELSEWHERE', cell: cellOf('elsewhere'), right: true, yields: 2 },
  { title: 'GUARANTEED', cell: cellOf('guaranteed'), right: true },
  { title: 'LEFT', cell: cellOf('left'), right: true },
  { title: 'USED', cell: cellOf('used'), right: true },
  { title: 'BORROWED', cell: cellOf('borrowed'), right: true },
  { title: 'FREE', cell: cellOf('free'), right: true },
];

/** Of what there is none of. */
export const dash = (amount: number, text: string): string => (amount === 0 ? '-' : text);

/** Of the use beside it: what is guaranteed, and the ceiling. */
export const amountTitle = 'OF';

export const machineColumns: readonly Column<MachineReport>[] = [
  { title: 'MACHINE', cell: ({ name }) => name },
  { title: 'CPU', cell: ({ cpu }) => cores(cpu.usedMillis), right: true },
  { title: amountTitle, cell: ({ resources }) => formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis), right: true },
  { title: 'BORROWED', cell: ({ cpu }) => dash(cpu.borrowedMillis, cores(cpu.borrowedMillis)), right: true },
  { title: 'THROTTLED', cell: ({ cpu }) => dash(cpu.throttledSeconds, `${cpu.throttledSeconds.toFixed(2)}s`), right: true, yields: 2 },
  { title: 'MEMORY', cell: ({ memory }) => formatMib(memory.usedMib), right: true },
  { title: amountTitle, cell: ({ resources }) => formatSizeRange(resources.memoryMib, resources.memoryCeilingMib), right: true },
  { title: 'BORROWED', cell: ({ memory }) => dash(memory.borrowedMib, formatMib(memory.borrowedMib)), right: true },
  { title: 'SWAPPED', cell: ({ memory }) => dash(memory.swappedMib, formatMib(memory.swappedMib)), right: true, yields: 2 },
  { title: 'DISK', cell: ({ diskUsedMib }) => formatMib(diskUsedMib), right: true, yields: 3 },
  { title: amountTitle, cell: ({ resources }) => formatMib(resources.diskMib), right: true, yields: 3 },
  { title: 'READ', cell: ({ io }) => dash(io.readMibps, mibps(io.readMibps)), right: true, yields: 4 },
  { title: 'WRITE', cell: ({ io }) => dash(io.writeMibps, mibps(io.writeMibps)), right: true, yields: 4 },
  { title: amountTitle, cell: ({ resources }) => formatIo(resources), right: true, yields: 4 },
  { title: 'IN', cell: ({ network }) => dash(network.receivedMbps, mbps(network.receivedMbps)), right: true, yields: 5 },
  { title: 'OUT', cell: ({ network }) => dash(network.sentMbps, mbps(network.sentMbps)), right: true, yields: 5 },
  { title: amountTitle, cell: ({ resources }) => formatLink(resources), right: true, yields: 5 },
  { title: 'BORROWED', cell: ({ network }) => dash(network.borrowedMbps, mbps(network.borrowedMbps)), right: true, yields: 5 },
  { title: 'WAITS', cell: ({ pressure }) => (pressure === null ? '-' : formatPressure(pressure)), right: true, yields: 1 },
];

/** Mbit/s; without a ceiling it may have what the uplink has. */
const formatLink = ({ networkMbps, networkCeilingMbps }: Resources): string =>
  networkCeilingMbps === null ? dash(networkMbps, String(networkMbps)) : `${networkMbps}..${networkCeilingMbps}`;

/** CPU, memory and disk, in percent of the time. */
const formatPressure = ({ cpu, memory, io }: NonNullable<MachineReport['pressure']>): string =>
  [cpu, memory, io].map((percent) => Math.round(percent)).join('/');

/** What one line says of the host. */
export const headline = (rows: readonly ResourceReport[], machines: readonly MachineReport[]): string => {
  const of = (resource: ResourceReport['resource']) => rows.find((row) => row.resource === resource)!;
  const lent = machines.filter(({ cpu, memory }) => cpu.borrowedMillis > 0 || memory.borrowedMib > 0).length;
  return `${machines.length} running, ${lent} of them borrow: ${cores(of('cpu').borrowed ?? 0)} cores and ${formatMib(of('memory').borrowed ?? 0)} of memory`;
};

/** What of the guarantees belongs to none of those that are listed. */
export const keptFor = ({ machines, cpuMillis, memoryMib, diskMib }: PoolReport['stopped']): string =>
  `kept for ${machines === 1 ? '1 stopped machine' : `${machines} stopped machines`} (cenote ls): ${formatCores(cpuMillis)}, ${formatMib(memoryMib)} of memory, ${formatMib(diskMib)} of disk`;
