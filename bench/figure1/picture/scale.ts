/** From values to places, and the round values to mark. Pure. */

export interface Scale {
  (value: number): number;
  readonly from: number;
  readonly to: number;
}

/** Whatever lies outside is put on the edge. */
const scale = (from: number, to: number, [start, end]: readonly [number, number], position: (value: number) => number): Scale =>
  Object.assign((value: number) => start + (end - start) * Math.min(1, Math.max(0, (position(value) - position(from)) / (position(to) - position(from)))), {
    from,
    to,
  });

export const linear = (from: number, to: number, range: readonly [number, number]): Scale => scale(from, to, range, (value) => value);
export const logarithmic = (from: number, to: number, range: readonly [number, number]): Scale =>
  scale(from, to, range, (value) => Math.log(Math.max(value, from)));

/** The next value of 1, 2, 2.5 or 5 and zeros that is not less. */
export const roundUp = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value * (1 - 1e-9)) ?? 10) * power;
};

/** About so many steps from 0 to `to`. */
export const ticks = (to: number, about: number): number[] => {
  const step = roundUp(to / about);
  return Array.from({ length: Math.floor(to / step + 1e-9) + 1 }, (_, index) => index * step);
};
