import { defineCommand, one, toggle } from '../command.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<[string, string]>[] = [
  { title: 'KEY', cell: ([key]) => key },
  { title: 'BYTES', cell: ([, value]) => String(Buffer.byteLength(value)), right: true },
];

export const command = defineCommand({
  detail: 'Keys and the size of their values; inside, mdata-list shows the same.',
  args: { name: one('NAME', 'machine') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['metadata ls web', 'metadata ls web --json'],
  run: async ({ args, flags }, context) => {
    const { metadata = {} } = await selectMachine(context, args.name);
    if (flags.json) context.output.json(metadata);
    else context.output.table(Object.entries(metadata).toSorted(byKey), columns, { header: !flags.noHeader });
  },
});

const byKey = ([one]: [string, string], [other]: [string, string]): number => (one < other ? -1 : 1);
