import type { FloatingAddress } from '../../model/network-api.ts';
import { defineCommand, toggle } from '../command.ts';
import type { Column } from '../table.ts';

export const command = defineCommand({
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['ip float ls', 'ip float ls --json'],
  run: async ({ flags }, context) => {
    const control = await context.control();
    const found = await control.floatingList({ signal: context.signal });
    if (flags.json) return context.output.json(found);
    const names = new Map((await control.machineList({}, { signal: context.signal })).map((machine) => [machine.id, machine.name]));
    const columns: readonly Column<FloatingAddress>[] = [
      { title: 'ADDRESS', cell: ({ address }) => address },
      { title: 'NETWORK', cell: ({ networkName }) => networkName },
      { title: 'MACHINE', cell: ({ machine }) => (machine === null ? '' : (names.get(machine) ?? machine)) },
    ];
    context.output.table(found, columns, { header: !flags.noHeader });
  },
});
