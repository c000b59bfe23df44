import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { PoolStatus } from '../../model/pool.ts';
import { defineCommand, parsed, toggle } from '../command.ts';
import type { Context } from '../context.ts';
import { parseSeconds } from '../format.ts';
import { quitKeys } from '../quit-keys.ts';
import { displayWidth, fitColumns, renderTable, wrapped } from '../table.ts';
import { drawPicture } from './picture.ts';
import { reportPool } from './report.ts';
import type { PoolReport } from './report.ts';
import { amountTitle, headline, keptFor, machineColumns, resourceColumns } from './tables.ts';

const lookMs = 1000;

export const command = defineCommand({
  detail:
    'CAPACITY is the host’s, RESERVE is kept for the host itself, ELSEWHERE is not in this instance’s share (other instances’, or nobody’s), LEFT is to be guaranteed yet, BORROWED is used above guarantees, FREE is idle now. Disk I/O goes by weights: it has no capacity that could be guaranteed or borrowed. Of a machine, IN, OUT and what stands beside them are Mbit/s, and WAITS is how much of the last 10 s it waited for CPU/memory/disk, in percent. Rates are measured over a second, or between two looks. On a narrow terminal columns are left out, and named. With --json the figures are computed likewise.',
  args: {},
  flags: {
    watch: toggle('go on; q or Ctrl-C ends it', { short: 'w' }),
    picture: toggle('the two stacks, in slices and as a pool, drawn from these figures'),
    interval: parsed('TIME', parseSeconds, 'time between two looks (default 2s)'),
  },
  examples: ['pool', 'pool --watch', 'pool --picture', 'pool --json'],
  run: async ({ flags }, context) => {
    const interval = (flags.interval ?? 2) * 1000;
    if (flags.interval !== undefined && (!flags.watch || flags.json)) throw new CenoteError('invalid_argument', '--interval is for --watch, without --json');
    if (flags.picture && flags.json) throw new CenoteError('invalid_argument', '--picture is drawn; --json has the figures it is drawn from');
    if (interval === 0) throw new CenoteError('invalid_argument', '--interval: must be a second at least');
    const control = await context.control();
    const look = (): Promise<PoolStatus> => control.pool({ signal: context.signal });
    const first = await look();
    await sleep(Math.min(interval, lookMs), undefined, { signal: context.signal });
    if (flags.watch && context.output.stdoutIsTerminal && !flags.json) return watch(context, first, look, interval);
    const report = reportPool(first, await look());
    if (flags.json) return context.output.json(report);
    const { columns: width } = context.output.size;
    const lines = linesOf(report, { picture: flags.picture ? width : null, tables: context.output.stdoutIsTerminal ? width : null });
    for (const line of lines) context.output.line(line);
  },
});

/** How wide each may be; null: no picture, tables as wide as they are. */
interface Widths {
  picture: number | null;
  tables: number | null;
}

const linesOf = ({ resources, machines, ...report }: PoolReport, widths: Widths): string[] => {
  const width = widths.tables ?? Number.POSITIVE_INFINITY;
  const ofPool = fitColumns(resources, resourceColumns, width);
  const ofMachines = fitColumns(machines, machineColumns, width);
  const gone = new Set([...ofPool.gone, ...ofMachines.gone].filter((title) => title !== amountTitle));
  return [
    headline(resources, machines),
    '',
    ...(widths.picture === null ? [] : [...drawPicture({ resources, machines, ...report }, widths.picture), '']),
    ...renderTable(resources, ofPool.fitting),
    ...(gone.size === 0 ? [] : ['', ...wrapped(`too narrow here for ${[...gone].join(', ')}`, width)]),
    ...(machines.length === 0 ? [] : ['', ...renderTable(machines, ofMachines.fitting)]),
    ...(report.stopped.machines === 0 ? [] : ['', ...wrapped(keptFor(report.stopped), width)]),
  ];
};

/** The picture is on top as long as it leaves room for all figures. */
const watch = async (context: Context, first: PoolStatus, look: () => Promise<PoolStatus>, interval: number): Promise<void> => {
  using keys = quitKeys();
  const signal = AbortSignal.any([context.signal, keys.signal]);
  using screen = context.output.screen();
  for (let before = first; !signal.aborted;) {
    const now = await look();
    const { columns: width, rows: height } = context.output.size;
    const report = reportPool(before, now);
    const pictured = linesOf(report, { picture: width, tables: width });
    const lines = pictured.length < height ? pictured : linesOf(report, { picture: null, tables: width });
    screen.draw(lines.slice(0, height - 1).map((line) => (displayWidth(line) > width ? line.slice(0, width) : line)));
    before = now;
    await sleep(interval, undefined, { signal }).catch(() => undefined);
  }
};
