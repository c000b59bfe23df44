/** Days of requests and samples brought down to what is stored and drawn. Pure. */
import { percentile } from '../lib/statistics.ts';
import type { Arrival } from './arrivals.ts';
import type { CutFigures } from './cut.ts';
import type { CutData } from './data.ts';
import { latenciesOf } from './outcomes.ts';

const shares = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];

/** Tiles by second of being due, and tenant. */
export const perSecond = (arrivals: readonly Pick<Arrival, 'dueMs' | 'tenant' | 'kind'>[], tenants: number, seconds: number): number[][] => {
  const found = Array.from({ length: Math.ceil(seconds) }, () => Array<number>(tenants).fill(0));
  for (const { dueMs, tenant, kind } of arrivals) {
    const row = found[Math.floor(dueMs / 1000)];
    if (kind === 'tile' && row !== undefined) row[tenant]! += 1;
  }
  return found;
};

export const cutData = ({ outcomes, samples, ...figures }: CutFigures, tenants: number, seconds: number): CutData => {
  const latencies = latenciesOf(outcomes.filter(({ kind }) => kind === 'tile'));
  return {
    ...figures,
    p50: finite(figures.p50),
    p99: finite(figures.p99),
    worstTenantP99: finite(figures.worstTenantP99),
    percentiles: shares.map((share) => ({ share, ms: finite(percentile(latencies, share)) })),
    cpu: samples.map((sample) => ({ second: rounded(sample.atMs / 1000), tenants: sample.tenants.map(rounded), idle: rounded(sample.idle) })),
    answeredBySecond: perSecond(
      outcomes.filter(({ fate }) => fate === 'answered'),
      tenants,
      seconds,
    ),
  };
};

const rounded = (value: number): number => Math.round(value * 1000) / 1000;
const finite = (value: number): number | null => (Number.isFinite(value) ? rounded(value) : null);
