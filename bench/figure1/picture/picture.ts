/** The paper's first figure with this host's numbers: two stacks, what each did with the same day of load, and what a change of size takes. */
import type { CutData, Figure1Data } from '../data.ts';
import { bars, barStep, ranked, stacked } from './charts.ts';
import type { Bar } from './charts.ts';
import { answeredPercent, colours, duration, style } from './look.ts';
import { stepTimes } from '../sizes.ts';
import { roundUp } from './scale.ts';
import { poolStack, sliceStack, stackHeight } from './stacks.ts';
import { at, document, line, rectangle, text } from './svg.ts';
import { tileHeight, tiles } from './tiles.ts';
import type { Tile } from './tiles.ts';

const width = 1240;
const margin = 48;
const between = 56;
const column = (width - 2 * margin - between) / 2;
const left = margin;
const right = margin + column + between;
/** Room for the words of an upright axis. */
const axis = 58;
const plot = column - axis;

const chart = { asked: 90, cpu: 160, ranks: 184 };
/** Of a heading, with what it says beneath. */
const headingHeight = 34;

export interface Provenance {
  at: string;
  host: { cpu: string; cores: number; memoryMib: number; kernel: string };
}

export const drawFigure = (data: Figure1Data, { at: when, host }: Provenance): string => {
  const { sizes, cuts } = data;
  const parts: string[] = [];
  const both = (y: number, slice: string, pool: string) => parts.push(at(left, y, slice), at(right, y, pool));
  let y = 56;
  parts.push(text(left, y, `One host, ${sizes.tenants} tenants: cut into slices, and as one pool`, { class: 'title' }));
  y += 25;
  parts.push(
    text(left, y, 'The same hardware, the same app for each tenant, the same requests at the same moments. Only the sharing differs.', { class: 'soft' }),
  );

  y += 46;
  parts.push(text(left, y, 'Cut into slices', { class: 'head slice' }), text(right, y, 'SmartMachines on one pool', { class: 'head pool' }));
  y += 16;
  both(y, sliceStack(data, column), poolStack(data, column));
  y += stackHeight + 22;
  both(y, tiles(serviceTiles(cuts.slice, data), column, 'slice'), tiles(serviceTiles(cuts.pool, data), column, 'pool'));
  y += tileHeight + 34;

  parts.push(
    heading(
      left,
      y,
      'Asked for, by tenant',
      'Requests a second, stacked. Each tenant’s day has one peak, five times as high as its mean, at another hour than the others’.',
    ),
  );
  y += headingHeight;
  parts.push(at(left + axis, y, askedChart(data)));
  y += chart.asked + 58;

  const cpuWords = 'Cores, stacked. The line is what the requests ask for.';
  both(y, heading(0, 0, 'CPU used, by tenant', `${cpuWords} Between: asked for and not served.`), heading(0, 0, 'CPU used, by tenant', cpuWords));
  y += headingHeight;
  both(y, at(axis, 0, cpuChart(data, 'slice')), at(axis, 0, cpuChart(data, 'pool')));
  y += chart.cpu + 58;

  both(
    y,
    heading(0, 0, 'How long answers take', 'From when each was due; so many of all requests were no slower.'),
    heading(0, 0, 'From a load step to full speed', `One tenant’s load becomes ${stepTimes} times as much from one moment to the next.`),
  );
  y += headingHeight;
  both(y, at(axis, 0, latencyChart(data)), bars(stepBars(data), 100_000, column - 190));
  y += Math.max(chart.ranks, barStep * stepBars(data).length) + 60;

  both(y, heading(0, 0, 'What an idle tenant takes as a virtual machine', ''), heading(0, 0, 'What an idle tenant takes as a SmartMachine', ''));
  y += 12;
  both(y, tiles(guestTiles(data), column, 'slice'), tiles(machineTiles(data), column, 'pool'));
  y += tileHeight + 24;

  parts.push(line(left, y, width - margin, y, { stroke: colours.edge }));
  for (const words of footer(data, { at: when, host })) parts.push(text(left, (y += 19), words, { class: 'small' }));
  const height = y + 30;
  const ground = rectangle(0.5, 0.5, width - 1, height - 1, { rx: 10, fill: colours.ground, stroke: colours.edge });
  return document({ width, height, title: 'One host cut into slices, and as one pool', description: describe(data), style }, ground, ...parts);
};

const heading = (x: number, y: number, words: string, more: string): string =>
  text(x, y, words, { class: 'label' }) + (more === '' ? '' : text(x, y + 17, more, { class: 'small' }));

const latency = (ms: number | null, timeoutMs: number): string => (ms === null ? `> ${duration(timeoutMs)}` : duration(ms));

const serviceTiles = (cut: CutData, { timeoutMs, sizes }: Figure1Data): Tile[] => [
  { figure: answeredPercent(cut.answered, cut.asked), words: ['of requests answered', `${cut.answeredPerSecond.toFixed(0)} a second`] },
  { figure: latency(cut.p99, timeoutMs), words: ['99th percentile', `median ${latency(cut.p50, timeoutMs)}`] },
  { figure: `${cut.idleCoreSeconds.toFixed(cut.idleCoreSeconds < 10 ? 1 : 0)} s`, words: ['of a core left idle', 'as requests waited'] },
  { figure: `${cut.reports.answered} of ${sizes.tenants}`, words: [`reports of ${sizes.reportMib} MiB`, 'done at the peaks'] },
];

const askedChart = ({ askedBySecond, sizes }: Figure1Data): string => {
  const rows = askedBySecond.map((tenants, second) => ({ second: second + 0.5, tenants }));
  const top = roundUp(Math.max(...rows.map(({ tenants }) => tenants.reduce((sum, one) => sum + one, 0))));
  return stacked({ rows, seconds: sizes.daySeconds, top, say: String }, { width: width - 2 * margin - axis, height: chart.asked });
};

/** Means of a second, since a control group's time comes in lumps. */
const bySecond = ({ cpu }: CutData, seconds: number): { second: number; tenants: number[] }[] =>
  Array.from({ length: seconds }, (_, second) => {
    const within = cpu.filter((one) => one.second > second && one.second <= second + 1);
    const tenants = cpu[0]!.tenants.map((_tenant, index) => within.reduce((sum, one) => sum + one.tenants[index]!, 0) / Math.max(1, within.length));
    return { second: second + 0.5, tenants };
  });

const cpuChart = (data: Figure1Data, side: 'slice' | 'pool'): string => {
  const { sizes, askedBySecond, cores, cuts } = data;
  // What one took in the pool, where hardly any is given up: less than it does alone, in an app that often sleeps.
  const cost = cuts.pool.cpuSeconds / cuts.pool.answered;
  const asked = (tenants: readonly number[]): number => tenants.reduce((sum, one) => sum + one, 0) * cost;
  const over = { rows: askedBySecond.map((tenants, second) => ({ second: second + 0.5, value: asked(tenants) })), ground: colours.sliceGround };
  const cut = (sizes.sliceCpuMillis * sizes.tenants) / 1000;
  const level = { value: cut, words: side === 'slice' ? `all slices together: ${cut} cores` : `${cut} cores, as the slices have`, colour: colours.soft };
  return stacked(
    { rows: bySecond(data.cuts[side], sizes.daySeconds), seconds: sizes.daySeconds, top: cores, say: String, over, level },
    { width: plot, height: chart.cpu },
  );
};

const latencyChart = ({ cuts, timeoutMs }: Figure1Data): string => {
  const size = { width: plot, height: chart.ranks };
  return [
    ranked(
      [
        { points: cuts.slice.percentiles, colour: colours.slice },
        { points: cuts.pool.percentiles, colour: colours.pool },
        ...(cuts.virtual === null ? [] : [{ points: cuts.virtual.percentiles, colour: colours.soft }]),
      ],
      timeoutMs,
      size,
    ),
    text(plot * 0.3, size.height * 0.24, 'slices', { class: 'label slice' }),
    text(plot * 0.5, size.height * 0.86, 'pool', { class: 'label pool' }),
    cuts.virtual === null ? '' : text(plot * 0.08, size.height * 0.2, 'virtual machines', { class: 'label soft' }),
  ].join('');
};

const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;

/** The median; null when more than half never came to it. */
const medianSpeed = (values: readonly (number | null)[]): number | null => {
  const middle = median(values.map((value) => value ?? Infinity));
  return Number.isFinite(middle) ? middle : null;
};

const stepBars = ({ steps, machine, guest }: Figure1Data): Bar[] => {
  const said = (ms: number | null, more: string) => (ms === null ? `not within the test${more}` : ms === 0 ? `at once${more}` : `${duration(ms)}${more}`);
  const bar = (words: string, ms: number | null, more: string, colour: string): Bar => ({ words, ms, said: said(ms, more), colour });
  const added = steps.machines.addedMachines;
  return [
    bar('in the pool: nothing to do', medianSpeed(steps.nothing.fullSpeedMs), '', colours.pool),
    bar('a slice, resized while it runs', medianSpeed(steps.resize.fullSpeedMs), `; the resize ${duration(median(steps.resize.remedyMs))}`, colours.pool),
    bar(
      `${added} more machines of one slice`,
      medianSpeed(steps.machines.fullSpeedMs),
      `; each answers after ${duration(median(steps.machines.remedyMs))}`,
      colours.slice,
    ),
    ...(guest === null
      ? [{ words: 'one more virtual machine', ms: null, said: 'could not be measured here', colour: colours.slice }]
      : [bar(`one more virtual machine, to its first answer`, median(guest.firstAnswerMs), guest.accelerator === 'tcg' ? ', emulated' : '', colours.slice)]),
    bar('for comparison: one more machine, to its first answer', median(machine.firstAnswerMs), '', colours.pool),
  ];
};

const size = (mib: number): string => (mib >= 9.95 ? `${mib.toFixed(0)} MiB` : mib >= 0.95 ? `${mib.toFixed(1)} MiB` : `${(mib * 1024).toFixed(0)} KiB`);

const guestTiles = ({ guest, sizes }: Figure1Data): Tile[] =>
  guest === null
    ? [{ figure: '–', words: ['could not be measured here'] }]
    : [
        { figure: size(guest.memoryMib), words: ['of memory held, of', `the ${guest.givenMib} it was given`] },
        { figure: size(guest.imageMib + guest.layerMib), words: ['of disk, with the', 'system it has'] },
        { figure: duration(median(guest.firstAnswerMs)), words: ['to its first answer', guest.accelerator === 'tcg' ? 'emulated: no KVM' : 'with KVM'] },
        { figure: `${sizes.tenants} + 1`, words: ['systems to patch, of', `${guest.packages} packages each`] },
      ];

const machineTiles = ({ machine, patch, sizes }: Figure1Data): Tile[] => [
  { figure: size(machine.appMib + machine.monitorMib), words: ['of memory: the app;', `${size(machine.monitorMib)} its monitor`] },
  { figure: size(machine.diskMib), words: ['of disk: what it', 'wrote itself'] },
  { figure: duration(median(machine.firstAnswerMs)), words: ['to its first answer,', 'from the create'] },
  {
    figure: '1',
    words: patch === null ? ['system to patch', `for all ${sizes.tenants}`] : ['system to patch;', `all saw it in ${duration(patch.patchMs + patch.seenMs)}`],
  },
];

/** More than the host itself takes. */
const disturbingCores = 0.3;

const footer = (data: Figure1Data, { at: when, host }: Provenance): string[] => {
  const { sizes, cuts, together, seed, guest, peakRate } = data;
  const share = ({ answered, asked }: { answered: number; asked: number }): string => answeredPercent(answered, asked);
  return [
    `Measured ${when.slice(0, 10)} on ${host.cores} cores (${host.cpu}), ${(host.memoryMib / 1024).toFixed(0)} GiB, Linux ${host.kernel}. Poisson arrivals on a day of ${sizes.daySeconds} s with bursts, seed ${seed}; a peak asks for ${peakRate.toFixed(0)} requests a second.`,
    ...(Math.max(cuts.slice.otherCores, cuts.pool.otherCores) > disturbingCores
      ? [
          `The host was not quiet: other programs took ${cuts.slice.otherCores.toFixed(1)} cores beside the slices and ${cuts.pool.otherCores.toFixed(1)} beside the pool, which has less to lend then.`,
        ]
      : []),
    `Slices are machines whose ceiling is their guarantee: no hypervisor’s cost is in them. The load generator has a reserve of its own (${cuts.slice.generatorCores.toFixed(2)} and ${cuts.pool.generatorCores.toFixed(2)} cores used) and sends whether or not answers come.`,
    `On another day all peaks came at once, and more was asked for than the host has: then the slices answered ${share(together.slice)}, the pool ${share(together.pool)}.`,
    ...(guest?.accelerator === 'tcg'
      ? [
          'The virtual machine is emulated here, which is many times slower than with KVM: it is measured for memory, disk and boot only, and carries none of the load.',
        ]
      : []),
  ];
};

const describe = ({ sizes, cuts, timeoutMs }: Figure1Data): string =>
  `With ${sizes.tenants} fixed slices ${answeredPercent(cuts.slice.answered, cuts.slice.asked)} of the requests were answered within ${timeoutMs / 1000} s, ` +
  `with one pool ${answeredPercent(cuts.pool.answered, cuts.pool.asked)}; the 99th percentile was ${latency(cuts.slice.p99, timeoutMs)} and ${latency(cuts.pool.p99, timeoutMs)}.`;
