import type { NameRecord } from '../../model/names-api.ts';
import { defineCommand, optional, toggle } from '../command.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<NameRecord>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'TTL', cell: ({ ttl }) => String(ttl), right: true },
  { title: 'VALUE', cell: ({ value }) => value },
];

export const command = defineCommand({
  detail: 'As machines of the account are told. Each name has a twin with ids in it, shown with --all.',
  args: { name: optional('NAME', 'machine') },
  flags: { all: toggle('also names with ids in them, and names of addresses', { short: 'a' }), noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['dns ls', 'dns ls web', 'dns ls web --all', 'dns ls --json'],
  run: async ({ args, flags }, context) => {
    const machine = args.name === undefined ? undefined : (await selectMachine(context, args.name)).id;
    const records = await (await context.control()).nameList({ machine }, { signal: context.signal });
    if (flags.json) return context.output.json(records);
    const shown = flags.all ? records : records.filter(({ name, type }) => type !== 'PTR' && !hasId(name));
    // Where nothing is called by name, ids are all there is.
    const some = shown.length === 0 ? records : shown;
    context.output.table(some.toSorted(byName), columns, { header: !flags.noHeader });
  },
});

const hasId = (name: string): boolean => /(^|\.)[0-9a-f]{8}-[0-9a-f]{4}-/.test(name);

/** Names that end alike stand together. */
const byName = (one: NameRecord, other: NameRecord): number => (keyOf(one) < keyOf(other) ? -1 : 1);
const keyOf = ({ name, type, value }: NameRecord): string => `${name.split('.').toReversed().join('.')} ${type} ${value}`;
