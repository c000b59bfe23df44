import type { Vlan } from '../../model/network-api.ts';
import { defineCommand, toggle } from '../command.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Vlan>[] = [
  { title: 'VLAN', cell: ({ id }) => String(id), right: true },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'NETWORKS', cell: ({ networks }) => String(networks), right: true },
  { title: 'DESCRIPTION', cell: ({ description }) => description },
];

export const command = defineCommand({
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['vlan ls', 'vlan ls --json'],
  run: async ({ flags }, context) => {
    const vlans = await (await context.control()).vlanList({ signal: context.signal });
    if (flags.json) context.output.json(vlans);
    else context.output.table(vlans, columns, { header: !flags.noHeader });
  },
});
