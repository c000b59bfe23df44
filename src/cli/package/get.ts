import { formatMib } from '../../base/units.ts';
import { formatAge, formatCpuRange, formatPackage, formatSizeRange } from '../format.ts';
import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatBurst, formatIo, formatNetwork } from '../machine/resource-flags.ts';

export const command = defineCommand({
  detail: 'PACKAGE is its newest version, PACKAGE@VERSION that one.',
  args: { package: one('PACKAGE', 'package') },
  flags: {},
  examples: ['package get large', 'package get large@1 --json'],
  run: async ({ args, flags }, context) => {
    const found = await (await context.control()).packageGet(args.package, { signal: context.signal });
    if (flags.json) return context.output.json(found);
    const { resources } = found;
    const lines = detailLines([
      ['Package', formatPackage(found)],
      ['CPU', `${formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis)} cores`],
      ['Burst', resources.burst === null ? null : formatBurst(resources.burst)],
      ['Memory', formatSizeRange(resources.memoryMib, resources.memoryCeilingMib)],
      ['Disk', formatMib(resources.diskMib)],
      ['Processes', resources.processes],
      ['I/O', formatIo(resources)],
      ['Bandwidth', formatNetwork(resources)],
      ['Created', `${found.createdAt} (${formatAge(found.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
