import { formatMib } from '../../base/units.ts';
import type { Platform } from '../../model/image.ts';
import { defineCommand, toggle } from '../command.ts';
import { formatAge } from '../format.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Platform>[] = [
  { title: 'NAME', cell: (platform) => platform.name },
  { title: 'VERSION', cell: (platform) => platform.version, right: true },
  { title: 'SYSTEM', cell: (platform) => platform.description },
  { title: 'SIZE', cell: (platform) => (platform.version === 'live' ? '-' : formatMib(platform.sizeMib)), right: true },
  { title: 'AGE', cell: (platform) => (platform.version === 'live' ? '-' : formatAge(platform.createdAt)), right: true },
  { title: 'INCLUDES', cell: (platform) => platform.include.join(',') || '-' },
];

export const command = defineCommand({
  detail: "The platform host is this host's own /usr, live.",
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['platform ls'],
  run: async ({ flags }, context) => {
    const platforms = await (await context.control()).platformList({ signal: context.signal });
    if (flags.json) context.output.json(platforms);
    else context.output.table(platforms, columns, { header: !flags.noHeader });
  },
});
