/** What a series of measurements comes to. Percentiles are by nearest rank: always a value that was measured. */
export interface Summary {
  n: number;
  min: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
  mean: number;
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

export const percentile = (sorted: readonly number[], share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;

export const summarise = (samples: readonly number[]): Summary => {
  const sorted = samples.toSorted((one, other) => one - other);
  const at = (share: number) => rounded(percentile(sorted, share));
  return {
    n: sorted.length,
    min: at(0),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: at(1),
    mean: rounded(sorted.reduce((sum, value) => sum + value, 0) / sorted.length),
  };
};
