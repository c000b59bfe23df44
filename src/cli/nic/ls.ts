import type { MachineNic } from '../../model/network-api.ts';
import { defineCommand, one, toggle } from '../command.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<MachineNic>[] = [
  { title: 'NIC', cell: ({ index, primary }) => `eth${index}${primary ? ' *' : ''}` },
  { title: 'NETWORK', cell: ({ networkName, network }) => networkName || network },
  { title: 'ADDRESS', cell: ({ address, more = [] }) => [address, ...more].join(', ') },
  { title: 'GATEWAY', cell: ({ gateway }) => gateway ?? '' },
  { title: 'MAC', cell: ({ mac }) => mac },
  { title: 'STATE', cell: ({ state }) => state },
];

export const command = defineCommand({
  detail: 'The one with a star is primary: its gateway is the way to everywhere else, ports are published at it, and floating addresses lead to it.',
  args: { name: one('NAME', 'machine') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['nic ls web', 'nic ls web --json'],
  run: async ({ args, flags }, context) => {
    const { id, floating = [] } = await selectMachine(context, args.name);
    const nics = await (await context.control()).machineNicList(id, { signal: context.signal });
    if (flags.json) context.output.json(nics);
    else {
      const leading: Column<MachineNic> = { title: 'FLOATING', cell: ({ primary }) => (primary ? floating.join(', ') : '') };
      context.output.table(nics, floating.length === 0 ? columns : [...columns, leading], { header: !flags.noHeader });
    }
  },
});
