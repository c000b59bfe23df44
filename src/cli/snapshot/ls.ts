import { formatMib } from '../../base/units.ts';
import type { Snapshot } from '../../model/machine.ts';
import { defineCommand, one, toggle } from '../command.ts';
import { formatAge } from '../format.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Snapshot>[] = [
  { title: 'NAME', cell: (snapshot) => snapshot.name },
  { title: 'SIZE', cell: (snapshot) => formatMib(snapshot.sizeMib), right: true },
  { title: 'FREEZE', cell: (snapshot) => `${Math.round(snapshot.freezeMs * 10) / 10}ms`, right: true },
  { title: 'AGE', cell: (snapshot) => formatAge(snapshot.createdAt), right: true },
];

export const command = defineCommand({
  detail: 'SIZE is what only this snapshot holds.',
  args: { name: one('NAME', 'machine') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['snapshot ls db'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const snapshots = await (await context.control()).snapshotList(machine.id, { signal: context.signal });
    if (flags.json) context.output.json(snapshots);
    else context.output.table(snapshots, columns, { header: !flags.noHeader });
  },
});
