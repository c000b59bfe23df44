/** The small charts: amounts of all tenants over the day, stacked; latencies by their rank; and times as bars on a logarithmic scale. */
import { colours, tenantColour } from './look.ts';
import { linear, logarithmic, ticks } from './scale.ts';
import type { Scale } from './scale.ts';
import { band, curve, group, line, rectangle, text } from './svg.ts';
import type { Point } from './svg.ts';

export interface Size {
  width: number;
  height: number;
}

const gridLine = { stroke: colours.grid, 'stroke-width': 1 };

const leftAxis = (y: Scale, values: readonly number[], width: number, say: (value: number) => string): string =>
  values.map((value) => line(0, y(value), width, y(value), gridLine) + text(-8, y(value) + 4, say(value), { class: 'small end' })).join('');

const dayAxis = (x: Scale, height: number): string =>
  ticks(x.to, 6)
    .map((second) => text(x(second), height + 17, second === 0 ? '0 s' : String(second), { class: 'small middle' }))
    .join('');

export interface Stacked {
  /** Of each moment, in order. */
  rows: readonly { second: number; tenants: readonly number[] }[];
  seconds: number;
  top: number;
  say(value: number): string;
  /** A line over it all, and the colour beneath it. */
  over?: { rows: readonly { second: number; value: number }[]; ground: string };
  /** A level that is marked. */
  level?: { value: number; words: string; colour: string };
}

export const stacked = ({ rows, seconds, top, say, over, level }: Stacked, { width, height }: Size): string => {
  const [x, y] = [linear(0, seconds, [0, width]), linear(0, top, [height, 0])];
  const tenants = rows[0]?.tenants.length ?? 0;
  const layers: string[] = [];
  let lower: Point[] = rows.map(({ second }) => ({ x: x(second), y: y(0) }));
  let sums = rows.map(() => 0);
  for (let tenant = 0; tenant < tenants; tenant += 1) {
    sums = sums.map((sum, index) => sum + rows[index]!.tenants[tenant]!);
    const upper = rows.map(({ second }, index) => ({ x: x(second), y: y(sums[index]!) }));
    layers.push(band(upper, lower, { fill: tenantColour(tenant, tenants), stroke: colours.ground, 'stroke-width': 0.6 }));
    lower = upper;
  }
  const marks: string[] = [];
  if (over !== undefined) {
    const edge = over.rows.map(({ second, value }) => ({ x: x(second), y: y(value) }));
    layers.unshift(
      band(
        edge,
        edge.map((point) => ({ x: point.x, y: y(0) })),
        { fill: over.ground },
      ),
    );
    marks.push(curve(edge, { stroke: colours.ink, 'stroke-width': 1.6, 'stroke-linejoin': 'round' }));
  }
  if (level !== undefined) {
    const at = y(level.value);
    marks.push(line(0, at, width, at, { stroke: level.colour, 'stroke-width': 1.3, 'stroke-dasharray': '5 4' }));
    marks.push(text(width, at - 6, level.words, { class: 'small end', style: `fill:${level.colour}` }));
  }
  return group({}, leftAxis(y, ticks(top, 4), width, say), ...layers, ...marks, dayAxis(x, height));
};

export interface RankedLine {
  points: readonly { share: number; ms: number | null }[];
  colour: string;
}

/** Nines get as much room each as the first half. */
const rankPosition = (share: number): number => -Math.log10(1 - share);
const ranks = [0.5, 0.9, 0.99, 0.999];

/** What was never answered in time is drawn above the limit, so far. */
const beyondLimit = 1.8;

export const ranked = (lines: readonly RankedLine[], limitMs: number, { width, height }: Size): string => {
  const x = linear(0, rankPosition(0.999), [0, width]);
  const y = logarithmic(1, limitMs * beyondLimit ** 2, [height, 0]);
  const values = [1, 10, 100, 1000].filter((value) => value < limitMs / 3).concat(limitMs);
  const place = ({ share, ms }: { share: number; ms: number | null }): Point => ({ x: x(rankPosition(share)), y: y(ms ?? limitMs * beyondLimit) });
  return group(
    {},
    leftAxis(y, values, width, (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`)),
    ...ranks.map((share) => {
      const place = x(rankPosition(share));
      return line(place, 0, place, height, gridLine) + text(place, height + 17, `${Number((share * 100).toFixed(1))} %`, { class: 'small middle' });
    }),
    text(-8, y(limitMs * beyondLimit) + 1, 'given up', { class: 'small end' }),
    line(0, y(limitMs), width, y(limitMs), { stroke: colours.soft, 'stroke-width': 1.2, 'stroke-dasharray': '5 4' }),
    ...lines.flatMap(({ points, colour }) => {
      const within = points.filter(({ ms }) => ms !== null).map(place);
      const beyond = points.filter(({ ms }) => ms === null).map(place);
      const last = within.at(-1);
      return [
        curve(within, { stroke: colour, 'stroke-width': 2.6, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }),
        ...(beyond.length === 0
          ? []
          : [
              curve(last === undefined ? beyond : [last, ...beyond], {
                stroke: colour,
                'stroke-width': 2.6,
                'stroke-dasharray': '1 5',
                'stroke-linecap': 'round',
              }),
            ]),
      ];
    }),
  );
};

export interface Bar {
  words: string;
  /** Null is without a number; `said` says why. */
  ms: number | null;
  said: string;
  colour: string;
}

export const barStep = 40;

/** From 1 ms on; what is less is a dot at the edge. */
export const bars = (all: readonly Bar[], toMs: number, width: number): string => {
  const x = logarithmic(1, toMs, [0, width]);
  const height = all.length * barStep;
  const marks = [1, 10, 100, 1000, 10_000, 100_000].filter((value) => value <= toMs);
  return group(
    {},
    ...marks.map(
      (value) =>
        line(x(value), 0, x(value), height, gridLine) +
        text(x(value), height + 17, value >= 1000 ? `${value / 1000} s` : `${value} ms`, { class: 'small middle' }),
    ),
    ...all.flatMap(({ words, ms, said, colour }, index) => {
      const top = index * barStep;
      const end = ms === null ? 0 : Math.max(4, x(ms));
      return [
        text(0, top + 13, words, {}),
        ...(ms === null ? [] : [rectangle(0, top + 19, end, 13, { rx: 3, fill: colour })]),
        text(end + 8, top + 30, said, { class: 'label', style: `fill:${colour};font-size:12.5px` }),
      ];
    }),
  );
};
