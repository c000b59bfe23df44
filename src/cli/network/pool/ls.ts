import type { NetworkPool } from '../../../model/network-api.ts';
import { defineCommand, toggle } from '../../command.ts';
import type { Column } from '../../table.ts';

const columns: readonly Column<NetworkPool>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'NETWORKS', cell: ({ networks }) => networks.join(', ') },
  { title: 'DESCRIPTION', cell: ({ description }) => description },
];

export const command = defineCommand({
  detail: 'With those of their networks that you may use. A pool is named wherever a network is, and stands for one that has an address to give.',
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['network pool ls', 'network pool ls --json'],
  run: async ({ flags }, context) => {
    const pools = await (await context.control()).networkPoolList({ signal: context.signal });
    if (flags.json) context.output.json(pools);
    else context.output.table(pools, columns, { header: !flags.noHeader });
  },
});
