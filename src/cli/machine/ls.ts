/** The listing; also from the agent directly, when the control plane is away. */
import { invalid } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import { formatCpu, formatMib } from '../../base/units.ts';
import type { Machine } from '../../model/control-api.ts';
import type { MachineStatus } from '../../model/machine.ts';
import { formatAge, formatCpuRange, formatPackage, formatSizeRange } from '../format.ts';
import { any, defineCommand, many, parsed, toggle, value } from '../command.ts';
import type { Context } from '../context.ts';
import { isGlob, listMachines, pickMany } from '../select.ts';
import { stateWords } from './restart-words.ts';
import { closest } from '../suggest.ts';
import type { Column } from '../table.ts';
import { formatPublish, formatRestart, machineStateNames, pairsToRecord, parseStates, parseTag } from '../values.ts';

/** What the control plane and the agent both know of a machine. */
export type Listed = Pick<
  Machine,
  | 'id'
  | 'name'
  | 'state'
  | 'image'
  | 'resources'
  | 'address'
  | 'publish'
  | 'tags'
  | 'restart'
  | 'createdAt'
  | 'startedAt'
  | 'exit'
  | 'error'
  | 'restarts'
  | 'restartAt'
  | 'health'
  | 'platform'
> & {
  package?: Machine['package'];
};

export const machineColumns: readonly Column<Listed>[] = [
  { title: 'NAME', cell: (machine) => machine.name },
  { title: 'ID', cell: (machine) => shortId(machine.id) },
  { title: 'STATE', cell: (machine) => stateWords(machine, Date.now()) },
  { title: 'IMAGE', cell: (machine) => machine.image.name },
  { title: 'CPU', cell: ({ resources }) => formatCpu(resources.cpuMillis), right: true },
  { title: 'MEMORY', cell: ({ resources }) => formatMib(resources.memoryMib), right: true },
  { title: 'DISK', cell: ({ resources }) => formatMib(resources.diskMib), right: true },
  { title: 'ADDRESS', cell: (machine) => machine.address },
  { title: 'PORTS', cell: (machine) => machine.publish.map(formatPublish).join(',') || '-' },
  { title: 'AGE', cell: (machine) => formatAge(machine.createdAt), right: true },
  { title: 'UUID', cell: (machine) => machine.id, hidden: true },
  { title: 'PLATFORM', cell: ({ platform }) => (platform === null ? '-' : `${platform.name}@${platform.version}`), hidden: true },
  { title: 'PACKAGE', cell: (machine) => (machine.package ? formatPackage(machine.package) : '-'), hidden: true },
  { title: 'CPU-RANGE', cell: ({ resources }) => formatCpuRange(resources.cpuMillis, resources.cpuCeilingMillis), hidden: true },
  { title: 'MEMORY-RANGE', cell: ({ resources }) => formatSizeRange(resources.memoryMib, resources.memoryCeilingMib), hidden: true },
  { title: 'PROCESSES', cell: ({ resources }) => String(resources.processes), right: true, hidden: true },
  {
    title: 'TAGS',
    cell: (machine) =>
      Object.entries(machine.tags)
        .map(([name, text]) => `${name}=${text}`)
        .join(',') || '-',
    hidden: true,
  },
  { title: 'RESTART', cell: (machine) => formatRestart(machine.restart), hidden: true },
  { title: 'RESTARTS', cell: (machine) => String(machine.restarts), right: true, hidden: true },
  { title: 'HEALTH', cell: (machine) => machine.health, hidden: true },
  { title: 'STARTED', cell: (machine) => formatAge(machine.startedAt), right: true, hidden: true },
  { title: 'EXIT', cell: (machine) => (machine.exit === null ? '-' : String(machine.exit.code)), right: true, hidden: true },
  { title: 'ERROR', cell: (machine) => machine.error ?? '-', hidden: true },
];

const parseColumns = (field: string, text: string): Column<Listed>[] =>
  text.split(',').map((word) => {
    const names = machineColumns.map((column) => column.title.toLowerCase());
    const at = names.indexOf(word.trim().toLowerCase());
    if (at >= 0) return machineColumns[at]!;
    const near = closest(word, names);
    throw invalid(field, `there is no column ${JSON.stringify(word)}`, near === undefined ? `columns are ${names.join(', ')}` : `did you mean ${near}?`);
  });

const ofStatus = ({ spec, ...status }: MachineStatus): Listed => ({ ...spec, ...status });

const everything = 'ls lists all machines, also those that do not run; --state running leaves only these';

export const command = defineCommand({
  detail: 'NAMEs may be patterns. Without one, all machines are listed.',
  args: { names: any('NAME', 'machine') },
  flags: {
    state: parsed('STATE[,STATE]', parseStates, 'only those in one of these states', { complete: machineStateNames }),
    tag: many('K=V', parseTag, 'only those with this tag'),
    image: value('IMAGE', 'only those of this image', { complete: 'image' }),
    output: parsed('COLUMN[,COLUMN]', parseColumns, 'these columns', { short: 'o', complete: machineColumns.map((column) => column.title.toLowerCase()) }),
    noHeader: toggle('without the headings', { short: 'H' }),
  },
  otherFlags: {
    '-a': everything,
    '--all': everything,
    '-q': 'only names: cenote ls -H -o name',
    '--quiet': 'only names: cenote ls -H -o name',
  },
  examples: ['ls', 'ls --state running --tag role=web', "ls 'web-*' -H -o name,address", 'ls --json', '--agent ls'],
  run: async ({ args, flags }, context) => {
    const wanted = (machine: Listed): boolean =>
      (flags.state === undefined || flags.state.includes(machine.state)) &&
      (flags.image === undefined || machine.image.name === flags.image || machine.image.id === flags.image) &&
      flags.tag.every(([name, text]) => Object.hasOwn(machine.tags, name) && machine.tags[name] === text);
    const { raw, listed } = await fetchMachines(context, flags.tag);
    const ids = new Set((args.names.length === 0 ? listed : pickForListing(listed, args.names)).map((machine) => machine.id));
    const shown = listed.filter((machine) => ids.has(machine.id) && wanted(machine));
    if (flags.json) {
      const kept = new Set(shown.map((machine) => machine.id));
      context.output.json(raw.filter((machine) => kept.has(machine.id)));
      return;
    }
    const columns = flags.output ?? machineColumns.filter((column) => column.hidden !== true);
    const chosen = args.names.length > 0 || flags.state !== undefined || flags.image !== undefined || flags.tag.length > 0;
    if (shown.length > 0) context.output.table(shown, columns, { header: !flags.noHeader });
    else if (!flags.noHeader)
      context.output.note(chosen ? 'no machine is like that; see all: cenote ls' : 'there are no machines yet; make one: cenote create NAME');
  },
});

/** A pattern that matches nothing lists nothing; a name that is not there is an error. */
const pickForListing = (listed: readonly Listed[], names: readonly string[]): Listed[] =>
  names.flatMap((name) => {
    try {
      return pickMany(listed, [name]);
    } catch (error) {
      if (isGlob(name)) return [];
      throw error;
    }
  });

const fetchMachines = async (context: Context, tags: readonly (readonly [string, string])[]): Promise<{ raw: readonly { id: string }[]; listed: Listed[] }> => {
  if (context.config.agent) {
    const raw = await (await context.agent()).machineList({ signal: context.signal });
    return { raw, listed: raw.map(ofStatus) };
  }
  const raw = await listMachines(context, tags.length === 0 ? {} : { tags: pairsToRecord(tags) });
  return { raw, listed: raw };
};
