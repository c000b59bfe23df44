import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import { formatCpu, formatMib, mibOfBytes } from '../../base/units.ts';
import type { ControlClient } from '../../client/control.ts';
import type { Machine } from '../../model/control-api.ts';
import type { MachineUsage } from '../../model/machine.ts';
import { any, defineCommand, parsed, toggle } from '../command.ts';
import type { Context } from '../context.ts';
import { parseSeconds } from '../format.ts';
import { dash } from '../pool/tables.ts';
import { quitKeys } from '../quit-keys.ts';
import { listMachines, selectMachines } from '../select.ts';
import { displayWidth, renderTable } from '../table.ts';
import type { Column } from '../table.ts';

interface Row {
  machine: Machine;
  usage: MachineUsage;
  /** Cores used since the measurement before; null for the first. */
  cores: number | null;
  receivedPerSecond: number;
  sentPerSecond: number;
}

const askedAtOnce = 32;
const perSecond = (bytes: number): string => (bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)}K/s` : `${formatMib(mibOfBytes(bytes))}/s`);

const columns: readonly Column<Row>[] = [
  { title: 'NAME', cell: ({ machine }) => machine.name },
  { title: 'CPU', cell: ({ cores }) => (cores === null ? '-' : cores.toFixed(2)), right: true },
  { title: 'GUARANTEE', cell: ({ machine }) => formatCpu(machine.resources.cpuMillis), right: true },
  { title: 'MEMORY', cell: ({ usage }) => formatMib(usage.memoryMib), right: true },
  { title: 'WORKING', cell: ({ usage }) => formatMib(usage.workingSetMib), right: true },
  { title: 'SWAP', cell: ({ usage }) => dash(usage.swapMib, formatMib(usage.swapMib)), right: true },
  { title: 'GUARANTEE', cell: ({ machine }) => formatMib(machine.resources.memoryMib), right: true },
  { title: 'DISK', cell: ({ usage }) => formatMib(usage.diskMib), right: true },
  { title: 'QUOTA', cell: ({ machine }) => formatMib(machine.resources.diskMib), right: true },
  { title: 'PROCS', cell: ({ usage }) => String(usage.processes), right: true },
  { title: 'IN', cell: (row) => perSecond(row.receivedPerSecond), right: true },
  { title: 'OUT', cell: (row) => perSecond(row.sentPerSecond), right: true },
];

export const command = defineCommand({
  detail: 'Busiest first; q or Ctrl-C ends it. Where the output is not a terminal, one measurement is printed.',
  args: { names: any('NAME', 'machine') },
  flags: { once: toggle('one measurement, and end'), interval: parsed('TIME', parseSeconds, 'time between measurements (default 2s)') },
  examples: ['top', "top 'web-*' --interval 5", 'top --once --json'],
  run: async ({ args, flags }, context) => {
    const interval = (flags.interval ?? 2) * 1000;
    if (flags.interval !== undefined && (flags.once || flags.json))
      throw new CenoteError('invalid_argument', '--interval is for a list that goes on: not with --once or --json');
    if (interval === 0) throw new CenoteError('invalid_argument', '--interval: must be a second at least');
    const meter = new Meter(await context.control(), context, args.names);
    if (flags.json) {
      context.output.json((await meter.measure()).map(({ machine, usage }) => ({ name: machine.name, ...usage })));
      return;
    }
    if (flags.once || !context.output.stdoutIsTerminal) {
      await meter.measure();
      await sleep(Math.min(interval, 1000), undefined, { signal: context.signal });
      context.output.table(await meter.measure(), columns);
      return;
    }
    await live(context, meter, interval);
  },
});

const live = async (context: Context, meter: Meter, interval: number): Promise<void> => {
  using keys = quitKeys();
  const signal = AbortSignal.any([context.signal, keys.signal]);
  using screen = context.output.screen();
  while (!signal.aborted) {
    const rows = await meter.measure();
    const { columns: width, rows: height } = context.output.size;
    const total = rows.reduce((sum, row) => sum + (row.cores ?? 0), 0);
    const lines = [
      `${rows.length} running, ${total.toFixed(2)} cores, ${formatMib(rows.reduce((sum, row) => sum + row.usage.memoryMib, 0))} memory`,
      '',
      ...renderTable(rows, columns),
    ];
    screen.draw(lines.slice(0, height - 1).map((line) => (displayWidth(line) > width ? line.slice(0, width) : line)));
    await sleep(interval, undefined, { signal }).catch(() => undefined);
  }
};

/** Usage of machines, and what changed since it was last asked. */
class Meter {
  #before = new Map<string, { usage: MachineUsage; at: number }>();
  readonly #control: ControlClient;
  readonly #context: Context;
  readonly #names: readonly string[];

  constructor(control: ControlClient, context: Context, names: readonly string[]) {
    this.#control = control;
    this.#context = context;
    this.#names = names;
  }

  async measure(): Promise<Row[]> {
    const machines = this.#names.length === 0 ? await listMachines(this.#context, { state: 'running' }) : await selectMachines(this.#context, this.#names);
    const before = this.#before;
    this.#before = new Map();
    const rows: Row[] = [];
    const queue = machines.filter((machine) => machine.state === 'running').values();
    const ask = async (): Promise<void> => {
      for (const machine of queue) {
        // One that ended since the listing has no usage any more.
        const usage = await this.#control.machineUsage(machine.id, { signal: this.#context.signal }).catch(ignoreGone);
        if (usage !== undefined) rows.push(this.#row(machine, usage, before.get(machine.id)));
      }
    };
    await Promise.all(Array.from({ length: askedAtOnce }, ask));
    return rows.toSorted(
      (one, other) =>
        (other.cores ?? 0) - (one.cores ?? 0) || other.usage.memoryMib - one.usage.memoryMib || one.machine.name.localeCompare(other.machine.name),
    );
  }

  #row(machine: Machine, usage: MachineUsage, before: { usage: MachineUsage; at: number } | undefined): Row {
    const at = performance.now();
    this.#before.set(machine.id, { usage, at });
    const rate = (field: 'cpuSeconds' | 'receivedBytes' | 'sentBytes'): number =>
      before === undefined ? 0 : Math.max(0, ((usage[field] - before.usage[field]) * 1000) / (at - before.at));
    return {
      machine,
      usage,
      cores: before === undefined ? null : rate('cpuSeconds'),
      receivedPerSecond: rate('receivedBytes'),
      sentPerSecond: rate('sentBytes'),
    };
  }
}

const ignoreGone = (error: unknown): undefined => {
  if (error instanceof CenoteError && (error.code === 'not_found' || error.code === 'wrong_state')) return undefined;
  throw error;
};
