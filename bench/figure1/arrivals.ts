/**
 * The load: for each tenant a day compressed into `seconds`, with one peak in it. Tenants' peaks follow one another through the day. On that
 * curve lie short bursts (half a rate and one and a half in turns, of exponential length), and under it requests come by a Poisson process.
 * A seed repeats all of it, so both cuts of the host are asked for exactly the same at the same moments.
 */
import { random } from '../../test/support/random.ts';

export interface LoadShape {
  tenants: number;
  seconds: number;
  /** Requests a second of one tenant at the top of its peak, before bursts. */
  peakRate: number;
  seed: number;
  /** One peak follows another; or all come at once, and no reports: the day that a pool cannot help with. */
  peaks: 'apart' | 'together';
}

export interface Arrival {
  dueMs: number;
  tenant: number;
  /** `tile` is the stream; `report` comes once, at the tenant's peak. */
  kind: 'tile' | 'report';
}

/** Of the peak rate, what there is at night. */
export const baseShare = 0.05;
/** Standard deviation of the peak, of the day: so a tenant's mean is a fifth of its peak, whatever the numbers. */
export const widthShare = 1 / 16;
const [calm, busy] = [0.5, 1.5];
const burstSeconds = 1.5;

export const peakSecond = ({ tenants, seconds, peaks }: LoadShape, tenant: number): number =>
  peaks === 'together' ? seconds / 2 : (seconds * (tenant + 0.5)) / tenants;

/** Requests a second that are asked for, bursts aside. The day is a circle: what is cut off at its end is at its beginning. */
export const rateAt = (shape: LoadShape, tenant: number, second: number): number => {
  const straight = Math.abs(second - peakSecond(shape, tenant)) % shape.seconds;
  const distance = Math.min(straight, shape.seconds - straight) / (shape.seconds * widthShare);
  return shape.peakRate * (baseShare + (1 - baseShare) * Math.exp(-(distance ** 2) / 2));
};

/** All requests of a day in the order in which they are due. */
export const arrivalsOf = (shape: LoadShape): Arrival[] => {
  const all = Array.from({ length: shape.tenants }, (_, tenant) => tenantArrivals(shape, tenant)).flat();
  return all.toSorted((one, other) => one.dueMs - other.dueMs);
};

const tenantArrivals = (shape: LoadShape, tenant: number): Arrival[] => {
  const uniform = uniformFrom(shape.seed * 1009 + tenant);
  const burstAt = bursts(shape.seconds, uniform);
  const found: Arrival[] = shape.peaks === 'together' ? [] : [{ dueMs: peakSecond(shape, tenant) * 1000, tenant, kind: 'report' }];
  const top = shape.peakRate * busy;
  // Thinning: as many as there could be at most, each kept with the probability that its moment has.
  for (let second = exponential(uniform, top); second < shape.seconds; second += exponential(uniform, top))
    if (uniform() * top < rateAt(shape, tenant, second) * burstAt(second)) found.push({ dueMs: second * 1000, tenant, kind: 'tile' });
  return found;
};

/** A stream of one rate, then of another from `stepSecond` on; for the step test. */
export const stepArrivals = (rates: { before: number; after: number }, stepSecond: number, seconds: number, seed: number): Arrival[] => {
  const uniform = uniformFrom(seed);
  const found: Arrival[] = [];
  for (const [rate, from, to] of [[rates.before, 0, stepSecond] as const, [rates.after, stepSecond, seconds] as const])
    for (let second = from + exponential(uniform, rate); second < to; second += exponential(uniform, rate))
      found.push({ dueMs: second * 1000, tenant: 0, kind: 'tile' });
  return found;
};

const uniformFrom = (seed: number): (() => number) => {
  const next = random(seed);
  return () => (next(2 ** 31) + 0.5) / 2 ** 31;
};

const exponential = (uniform: () => number, perSecond: number): number => -Math.log(uniform()) / perSecond;

/** The factor at each moment. */
const bursts = (seconds: number, uniform: () => number): ((second: number) => number) => {
  const turns: { from: number; factor: number }[] = [];
  for (let from = 0, factor = uniform() < 0.5 ? calm : busy; from < seconds; from += exponential(uniform, 1 / burstSeconds), factor = calm + busy - factor)
    turns.push({ from, factor });
  return (second) => turns.findLast(({ from }) => from <= second)?.factor ?? 1;
};
