import { formatMib } from '../../base/units.ts';
import type { Package } from '../../model/resources.ts';
import { defineCommand, toggle } from '../command.ts';
import { formatAge, formatCpuRange, formatSizeRange } from '../format.ts';
import type { Column } from '../table.ts';

export const packageColumns: readonly Column<Package>[] = [
  { title: 'NAME', cell: (each) => each.name },
  { title: 'CPU', cell: ({ resources }) => formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis), right: true },
  { title: 'MEMORY', cell: ({ resources }) => formatSizeRange(resources.memoryMib, resources.memoryCeilingMib), right: true },
  { title: 'DISK', cell: ({ resources }) => formatMib(resources.diskMib), right: true },
  { title: 'PROCESSES', cell: ({ resources }) => String(resources.processes), right: true },
  { title: 'AGE', cell: (each) => formatAge(each.createdAt), right: true },
];

export const command = defineCommand({
  detail: 'GUARANTEE..CEILING; one number is a guarantee without a ceiling.',
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['package ls'],
  run: async ({ flags }, context) => {
    const packages = await (await context.control()).packageList({ signal: context.signal });
    if (flags.json) context.output.json(packages);
    else context.output.table(packages, packageColumns, { header: !flags.noHeader });
  },
});
