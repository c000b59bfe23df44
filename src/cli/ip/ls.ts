import type { NetworkAddress } from '../../model/network-api.ts';
import { defineCommand, one, toggle } from '../command.ts';
import { selectNetwork } from '../network/select.ts';
import { listAddresses } from './list.ts';
import type { Column } from '../table.ts';

export const command = defineCommand({
  detail: 'Those that somebody has or that are reserved; all others are free. Of the external network, those that are yours.',
  args: { network: one('NETWORK', 'network') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['ip ls back', 'ip ls back --json'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const { id } = await selectNetwork(context, args.network);
    const addresses = await listAddresses(context, id);
    if (flags.json) return context.output.json(addresses);
    const names = new Map((await control.machineList({}, { signal: context.signal })).map((machine) => [machine.id, machine.name]));
    const columns: readonly Column<NetworkAddress>[] = [
      { title: 'ADDRESS', cell: ({ address }) => address },
      { title: 'MACHINE', cell: ({ machine }) => (machine === null ? '' : (names.get(machine) ?? machine)) },
      { title: 'RESERVED', cell: ({ reserved, managed, floating }) => (managed ? 'by the network' : floating ? 'floating' : reserved ? 'yes' : 'no') },
    ];
    context.output.table(addresses, columns, { header: !flags.noHeader });
  },
});
