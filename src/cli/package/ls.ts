import { formatCpu, formatMib } from '../../base/units.ts';
import { formatAge, formatCpuRange, formatPackage, formatSizeRange } from '../format.ts';
import type { Package, Resources } from '../../model/resources.ts';
import { defineCommand, toggle } from '../command.ts';
import { formatNetwork } from '../machine/resource-flags.ts';
import type { Column } from '../table.ts';

const isIoLimited = ({ ioReadMibps, ioWriteMibps, ioReadIops, ioWriteIops }: Resources): boolean =>
  [ioReadMibps, ioWriteMibps, ioReadIops, ioWriteIops].some((limit) => limit !== null);

const columns: readonly Column<Package>[] = [
  { title: 'PACKAGE', cell: formatPackage },
  { title: 'CPU', cell: ({ resources }) => formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis), right: true },
  { title: 'BURST', cell: ({ resources: { burst } }) => (burst === null ? '-' : `${formatCpu(burst.baselineMillis)}:${burst.burstSeconds}s`), right: true },
  { title: 'MEMORY', cell: ({ resources }) => formatSizeRange(resources.memoryMib, resources.memoryCeilingMib), right: true },
  { title: 'DISK', cell: ({ resources }) => formatMib(resources.diskMib), right: true },
  { title: 'PROCESSES', cell: ({ resources }) => String(resources.processes), right: true },
  { title: 'I/O', cell: ({ resources }) => `${resources.ioWeight}${isIoLimited(resources) ? ', limited' : ''}`, right: true },
  {
    title: 'BANDWIDTH',
    cell: ({ resources }) => (resources.networkMbps === 0 && resources.networkCeilingMbps === null ? '-' : formatNetwork(resources)),
    right: true,
  },
  { title: 'AGE', cell: (each) => formatAge(each.createdAt), right: true },
];

export const command = defineCommand({
  detail: 'GUARANTEE..CEILING; one number is a guarantee without a ceiling. The newest version of each is shown.',
  args: {},
  flags: { versions: toggle('every version'), noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['package ls', 'package ls --versions'],
  run: async ({ flags }, context) => {
    const packages = await (await context.control()).packageList({ versions: flags.versions }, { signal: context.signal });
    if (flags.json) context.output.json(packages);
    else context.output.table(packages, columns, { header: !flags.noHeader });
  },
});
