import type { Machine } from '../../model/control-api.ts';
import type { MachineStatus } from '../../model/machine.ts';
import { formatAge, formatCpuRange, formatSizeRange, quoteWords } from '../format.ts';
import { defineCommand, some } from '../command.ts';
import type { Context } from '../context.ts';
import { detailLines } from '../details.ts';
import type { Detail } from '../details.ts';
import { formatMib } from '../../base/units.ts';
import { nicsOf } from '../../model/nics.ts';
import { isGlob, pickMany, selectMachines } from '../select.ts';
import { formatPublish, formatRestart } from '../values.ts';
import { checkWords } from './check-words.ts';
import { stateWords } from './restart-words.ts';
import { packageWords } from './package-words.ts';
import { formatBurst, formatIo, formatNetwork } from './resource-flags.ts';

type Shown = Omit<Machine, 'package'>;

const at = (time: string | null): string | null => (time === null ? null : `${time} (${formatAge(time)} ago)`);
const pairs = (record: Record<string, string | number | boolean>): string[] => Object.entries(record).map(([name, value]) => `${name}=${value}`);

const details = (machine: Shown, { names, packaged }: { names: readonly string[]; packaged: string | null }): Detail[] => [
  ['Name', machine.name],
  ['Id', machine.id],
  ['State', stateWords(machine, Date.now())],
  ['Wanted', machine.desired],
  ['Error', machine.error],
  ['Last exit', machine.exit === null ? null : `${machine.exit.reason}, ${at(machine.exit.at)}`],
  ['Restarts', machine.restarts === 0 ? null : machine.restarts],
  ['Health', healthOf(machine)],
  ['Account', machine.account],
  ['Image', `${machine.image.name} (${machine.image.id})`],
  ['Platform', machine.platform === null ? 'none: the image has a userland of its own' : `${machine.platform.name}@${machine.platform.version}`],
  ['Package', packaged],
  ['CPU', `${formatCpuRange(machine.resources.cpuMillis, machine.resources.cpuCeilingMillis)} cores`],
  ['Burst', machine.resources.burst === null ? null : formatBurst(machine.resources.burst)],
  ['Memory', formatSizeRange(machine.resources.memoryMib, machine.resources.memoryCeilingMib)],
  ['Disk', formatMib(machine.resources.diskMib)],
  ['Processes', machine.resources.processes],
  ['I/O', formatIo(machine.resources)],
  ['Bandwidth', formatNetwork(machine.resources)],
  ['Address', addressesOf(machine)],
  ['Floating', machine.floating ?? []],
  ['Names', names],
  ['Published', machine.publish.map(formatPublish)],
  ['Command', machine.command === null ? null : quoteWords(machine.command)],
  ['Environment', pairs(machine.env)],
  ['Tags', pairs(machine.tags)],
  ['Firewall', machine.firewallEnabled ? 'on' : 'off'],
  ['Restart policy', formatRestart(machine.restart)],
  ['Stop grace', `${machine.stopGraceSeconds}s`],
  ['Created', at(machine.createdAt)],
  ['Started', at(machine.startedAt)],
  ['Generation', machine.generation],
];

/** The primary one first; most machines have only that. */
const addressesOf = (machine: Pick<Machine, 'address' | 'nics'>): string[] => [
  machine.address,
  ...nicsOf(machine).flatMap(({ primary, address, more = [], index }) => (primary ? more : [address, ...more]).map((one) => `${one} (eth${index})`)),
];

const healthOf = ({ health, healthCheck }: Pick<Machine, 'health' | 'healthCheck'>): string | null => {
  if (health === 'none') return null;
  return healthCheck === undefined ? health : `${health}: its check failed: ${checkWords(healthCheck)}`;
};

export const command = defineCommand({
  detail: 'NAMEs may be short ids and patterns.',
  args: { names: some('NAME', 'machine') },
  flags: {},
  examples: ['get web', 'get web --json', "get 'web-*' --json", '--agent get web'],
  run: async ({ args, flags }, context) => {
    const { output } = context;
    const machines = context.config.agent ? await fromAgent(context, args.names) : await selectMachines(context, args.names);
    if (flags.json) {
      output.json(args.names.length === 1 && !isGlob(args.names[0]!) ? machines[0] : machines);
      return;
    }
    for (const [index, machine] of machines.entries()) {
      if (index > 0) output.line('');
      const lines =
        'spec' in machine
          ? details({ ...machine.spec, ...machine }, { names: [], packaged: null })
          : details(machine, { names: await namesOf(context, machine), packaged: await packageWords(context, machine) });
      for (const line of detailLines(lines)) output.line(line);
    }
  },
});

/** Those without ids, which everything has besides. */
const namesOf = async (context: Context, { id }: Machine): Promise<string[]> => {
  const records = await (await context.control()).nameList({ machine: id }, { signal: context.signal });
  const names = new Set(records.filter(({ type }) => type === 'A' || type === 'AAAA').map(({ name }) => name));
  return [...names].filter((name) => !/(^|\.)[0-9a-f]{8}-[0-9a-f]{4}-/.test(name));
};

const fromAgent = async (context: Context, names: readonly string[]): Promise<MachineStatus[]> => {
  const machines = await (await context.agent()).machineList({ signal: context.signal });
  const named = machines.map((machine) => ({ id: machine.id, name: machine.spec.name, machine }));
  return pickMany(named, names).map(({ machine }) => machine);
};
