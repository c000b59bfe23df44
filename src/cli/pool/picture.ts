/**
 * The two stacks of the paper's first figure, from this host's figures: on the left the same machines in slices as large as their
 * guarantees, each with an operating system; on the right as they are, on one, with one pool. Pure: lines of a fixed width.
 */
import { formatCpu, formatMib } from '../../base/units.ts';
import { displayWidth, wrapped } from '../table.ts';
import type { MachineReport, PoolReport } from './report.ts';
import { cores } from './tables.ts';

const shades = { used: '█', borrowed: '▓', others: '▒', unused: '░', idle: '·' } as const;
const leastBox = 9;
const gap = '   ';

export const drawPicture = (report: PoolReport, width: number): string[] => {
  const inner = Math.max(leastBox * 2, Math.floor((width - gap.length) / 2) - 2);
  const shown = report.machines.slice(0, Math.max(1, Math.floor((inner + 1) / (leastBox + 1))));
  const left = drawSlices(report, shown, inner);
  const right = drawPool(report, shown, inner);
  return [
    `${fit('the same machines in slices', inner + 2)}${gap}this pool, now`,
    ...left.map((line, index) => `${line}${gap}${right[index] ?? ''}`),
    ...wrapped(legend, width),
  ];
};

const legend = `${shades.used} used of guarantees  ${shades.borrowed} borrowed  ${shades.others} others  ${shades.unused} guaranteed, unused  ${shades.idle} idle`;

const drawSlices = ({ machines, host }: PoolReport, shown: readonly MachineReport[], width: number): string[] => {
  const widths = split(width, shown.length);
  const cut = (machine: MachineReport, size: number): string => {
    const { cpuMillis } = machine.resources;
    return bar([[Math.min(machine.cpu.usedMillis, cpuMillis), shades.used]], cpuMillis, size, shades.unused);
  };
  const lost = machines.reduce((sum, { cpu }) => sum + cpu.borrowedMillis, 0);
  const lostMib = machines.reduce((sum, { memory }) => sum + memory.borrowedMib, 0);
  const more = machines.length - shown.length;
  const unseen = more > 0 ? `, ${more} not shown` : '';
  return [
    edge('┌', '┬', '┐', widths),
    row(
      shown.map(({ name }) => name),
      widths,
    ),
    row(
      shown.map(() => 'OS'),
      widths,
    ),
    edge('├', '┴', '┤', widths),
    row(
      [firstThatFits(width, `${count(machines.length, 'operating system')} to patch${unseen}`, `${count(machines.length, 'system')} to patch${unseen}`)],
      [width],
    ),
    row(['hypervisor'], [width]),
    edge('├', '┬', '┤', widths),
    row(
      shown.map((machine, index) => cut(machine, widths[index]!)),
      widths,
    ),
    row(
      shown.map(({ resources }) => `${formatCpu(resources.cpuMillis)} cores`),
      widths,
    ),
    row(
      shown.map(({ resources }) => formatMib(resources.memoryMib)),
      widths,
    ),
    edge('├', '┴', '┤', widths),
    row([lost > 0 || lostMib > 0 ? `cut off: ${cores(lost)} cores, ${formatMib(lostMib)}` : 'nothing is cut off now'], [width]),
    row([`hardware: ${hardware(host)}`], [width]),
    edge('└', '─', '┘', [width]),
  ];
};

const drawPool = ({ machines, host, resources, busyMillis }: PoolReport, shown: readonly MachineReport[], width: number): string[] => {
  const widths = split(width, shown.length);
  const ownDisk = machines.reduce((sum, { diskUsedMib }) => sum + diskUsedMib, 0);
  /** `busy`: of the whole host, by machines or by what else is there. */
  const poolBar = (name: string, used: number, borrowed: number, busy: number, guaranteed: number, capacity: number): string => {
    const label = `${name} `;
    const own = used - borrowed;
    const parts: [number, string][] = [
      [own, shades.used],
      [borrowed, shades.borrowed],
      [Math.max(0, busy - used), shades.others],
      [Math.max(0, guaranteed - own), shades.unused],
    ];
    return label + bar(parts, capacity, width - label.length, shades.idle);
  };
  const of = (resource: string) => resources.find((each) => each.resource === resource)!;
  const cpu = of('cpu');
  const memory = of('memory');
  const disk = of('disk');
  const busy = `${hardware(host)}; ${cores(busyMillis)} busy`;
  return [
    edge('┌', '┬', '┐', widths),
    row(
      shown.map(({ name }) => name),
      widths,
    ),
    row(
      shown.map(({ cpu: { usedMillis } }) => `${cores(usedMillis)} cores`),
      widths,
    ),
    row(
      shown.map(({ memory: { usedMib } }) => formatMib(usedMib)),
      widths,
    ),
    edge('├', '┴', '┤', widths),
    row(['1 operating system to patch'], [width]),
    row([`Linux ${host.kernel}`], [width]),
    edge('├', '─', '┤', [width]),
    row([poolBar('CPU   ', cpu.used, cpu.borrowed ?? 0, busyMillis, cpu.guaranteed ?? 0, host.cpuMillis)], [width]),
    row([poolBar('memory', memory.used, memory.borrowed ?? 0, host.memoryMib - host.memoryAvailableMib, memory.guaranteed ?? 0, host.memoryMib)], [width]),
    row([poolBar('disk  ', ownDisk, 0, disk.used, disk.guaranteed ?? 0, disk.capacity ?? 1)], [width]),
    edge('├', '─', '┤', [width]),
    row([firstThatFits(width, `hardware: ${busy}`, busy)], [width]),
    edge('└', '─', '┘', [width]),
  ];
};

const hardware = ({ cpuMillis, memoryMib }: PoolReport['host']): string => `${formatCpu(cpuMillis)} cores, ${formatMib(memoryMib)}`;

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** Widths of boxes side by side, with a line between them, that fill `width`. */
const split = (width: number, boxes: number): number[] => {
  const number = Math.max(1, boxes);
  const each = Math.floor((width - (number - 1)) / number);
  const rest = width - (number - 1) - each * number;
  return Array.from({ length: number }, (_, index) => each + (index < rest ? 1 : 0));
};

const edge = (left: string, between: string, right: string, widths: readonly number[]): string =>
  `${left}${widths.map((width) => '─'.repeat(width)).join(between)}${right}`;

const row = (cells: readonly string[], widths: readonly number[]): string => `│${widths.map((width, index) => fit(cells[index] ?? '', width)).join('│')}│`;

/** The last, cut, where none does. */
const firstThatFits = (width: number, ...texts: readonly string[]): string => texts.find((text) => displayWidth(text) <= width) ?? texts.at(-1)!;

const fit = (text: string, width: number): string => {
  let shown = text;
  while (displayWidth(shown) > width) shown = shown.slice(0, -1);
  return shown + ' '.repeat(width - displayWidth(shown));
};

/** Amounts one after another out of `whole`, each its own shade, and what is left in another. */
const bar = (parts: readonly (readonly [amount: number, shade: string])[], whole: number, width: number, rest: string): string => {
  let text = '';
  let sum = 0;
  for (const [amount, shade] of parts) {
    sum += amount;
    const until = Math.min(width, Math.round((sum / Math.max(whole, 1)) * width));
    text += shade.repeat(Math.max(0, until - text.length));
  }
  return text + rest.repeat(Math.max(0, width - text.length));
};
