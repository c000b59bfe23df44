/** One day of load on one cut of the host. */
import { arrivalsOf, stepArrivals } from './arrivals.ts';
import type { LoadShape } from './arrivals.ts';
import { startLoad } from './load-process.ts';
import { idleWhileWaiting, streamFigures } from './outcomes.ts';
import type { StreamFigures, Wasted } from './outcomes.ts';
import { startSampler } from './sampler.ts';
import type { Sample, Sampled } from './sampler.ts';
import type { Fate, Outcome, Plan, Target } from './sender.ts';
import type { Sizes } from './sizes.ts';

/** Who gave no answer by then has lost its user. */
export const tileTimeoutMs = 2000;
const reportTimeoutMs = 10_000;
/** Longer than any tile takes that did not wait. */
export const longWaitMs = 50;
const warmSeconds = 2;
const warmRate = 15;

export interface CutFigures extends StreamFigures, Wasted {
  reports: Record<Fate, number>;
  /** CPU of all tenants over the day, in core seconds; the most in any second, in cores. */
  cpuSeconds: number;
  mostCores: number;
  mostMemoryMib: number;
  /** The generator's own: its CPU in cores, and how late it sent. */
  generatorCores: number;
  sendLagP99: number;
  /** CPU that neither tenants nor generator nor idling account for: the host's, and other programs'. */
  otherCores: number;
  outcomes: Outcome[];
  samples: Sample[];
}

export const planFor = (arrivals: Plan['arrivals'], targets: Plan['targets'], sizes: Sizes): Plan => ({
  arrivals,
  targets,
  tileTimeoutMs,
  reportTimeoutMs,
  reportPath: `/report?mib=${sizes.reportMib}&ms=1500`,
});

/** So that every app has its code compiled and its connections open. */
export const warm = async (targets: readonly Target[], sizes: Sizes, group: string[]): Promise<void> => {
  const one = stepArrivals({ before: warmRate, after: warmRate }, warmSeconds, warmSeconds, 1);
  const all = targets.flatMap((_, tenant) => one.map((arrival) => ({ ...arrival, tenant })));
  const load = await startLoad(
    planFor(
      all.toSorted((a, b) => a.dueMs - b.dueMs),
      targets.map((target) => [target]),
      sizes,
    ),
    group,
  );
  await load.ended;
};

export const runDay = async (
  targets: readonly Target[],
  sampled: Sampled,
  shape: LoadShape,
  sizes: Sizes,
  group: string[],
  cores: number,
): Promise<CutFigures> => {
  await warm(targets, sizes, group);
  using sampler = startSampler(sampled);
  const load = await startLoad(
    planFor(
      arrivalsOf(shape),
      targets.map((target) => [target]),
      sizes,
    ),
    group,
  );
  const { outcomes, cpuMs } = await load.ended;
  const samples = sampler.stop(load.begunNs).filter(({ atMs }) => atMs <= shape.seconds * 1000);
  return runSummary(outcomes, samples, { seconds: shape.seconds, cores, generatorCores: cpuMs / (shape.seconds * 1000) });
};

/** Pure. */
export const runSummary = (
  outcomes: Outcome[],
  samples: Sample[],
  { seconds, cores, generatorCores }: { seconds: number; cores: number; generatorCores: number },
): CutFigures => {
  const reports: CutFigures['reports'] = { answered: 0, late: 0, refused: 0, broken: 0 };
  for (const { kind, fate } of outcomes) if (kind === 'report') reports[fate] += 1;
  const tenantsCores = (sample: Sample) => sample.tenants.reduce((sum, tenant) => sum + tenant, 0);
  const mean = (value: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + value(sample) * sample.lengthMs, 0) / samples.reduce((sum, { lengthMs }) => sum + lengthMs, 0);
  return {
    ...streamFigures(outcomes, seconds),
    ...idleWhileWaiting(samples, outcomes, longWaitMs),
    reports,
    cpuSeconds: mean(tenantsCores) * seconds,
    mostCores: mostOverSecond(samples.map(tenantsCores)),
    mostMemoryMib: Math.max(...samples.map(({ memoryMib }) => memoryMib)),
    generatorCores,
    sendLagP99: percentileOf(outcomes.map(({ lagMs }) => lagMs)),
    otherCores: cores - mean(({ idle }) => idle) - mean(tenantsCores) - generatorCores,
    outcomes,
    samples,
  };
};

const samplesPerSecond = 4;
const mostOverSecond = (values: readonly number[]): number =>
  Math.max(
    ...values.map((_, index) => values.slice(index, index + samplesPerSecond)).map((part) => part.reduce((sum, value) => sum + value, 0) / samplesPerSecond),
  );

const percentileOf = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor(values.length * 0.99)] ?? 0;

/** About as busy as at a peak: an app that mostly sleeps pays more for each. */
const costRate = 150;

/** CPU milliseconds of one request, on a machine that nothing holds back. */
export const costOfRequest = async (target: Target, sampled: Sampled, sizes: Sizes, group: string[], seconds: number): Promise<number> => {
  await warm([target], sizes, group);
  const before = sampled.cpuMs[0]!();
  const load = await startLoad(planFor(stepArrivals({ before: costRate, after: costRate }, seconds, seconds, 2), [[target]], sizes), group);
  const { outcomes } = await load.ended;
  return (sampled.cpuMs[0]!() - before) / outcomes.length;
};
