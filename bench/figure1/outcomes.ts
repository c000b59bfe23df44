/** What became of requests, in figures. Pure. */
import { percentile } from '../lib/statistics.ts';
import type { Sample } from './sampler.ts';
import type { Fate, Outcome } from './sender.ts';

export interface StreamFigures {
  asked: number;
  answered: number;
  /** Not answered in time, and broken or refused. */
  late: number;
  failed: number;
  answeredPerSecond: number;
  /** Of all that was asked, in ms from when it was due; Infinity when so many were never answered. */
  p50: number;
  p99: number;
  /** The same of the tenant that had it worst. */
  worstTenantP99: number;
}

export const streamFigures = (outcomes: readonly Outcome[], seconds: number): StreamFigures => {
  const tiles = outcomes.filter(({ kind }) => kind === 'tile');
  const count = (...fates: Fate[]) => tiles.filter(({ fate }) => fates.includes(fate)).length;
  const tenants = [...new Set(tiles.map(({ tenant }) => tenant))];
  return {
    asked: tiles.length,
    answered: count('answered'),
    late: count('late'),
    failed: count('broken', 'refused'),
    answeredPerSecond: count('answered') / seconds,
    p50: latencyAt(tiles, 0.5),
    p99: latencyAt(tiles, 0.99),
    worstTenantP99: Math.max(
      ...tenants.map((tenant) =>
        latencyAt(
          tiles.filter((one) => one.tenant === tenant),
          0.99,
        ),
      ),
    ),
  };
};

/** What was not answered is slower than anything that was. */
export const latenciesOf = (outcomes: readonly Outcome[]): number[] =>
  outcomes.map(({ fate, ms }) => (fate === 'answered' ? ms : Infinity)).toSorted((one, other) => one - other);

const latencyAt = (outcomes: readonly Outcome[], share: number): number => percentile(latenciesOf(outcomes), share);

export interface Wasted {
  /** Share of the time in which some request had waited long, throughout. */
  waitingShare: number;
  /** Cores that nobody used, in the mean over that time. */
  idleCores: number;
  /** Core seconds of it in all. */
  idleCoreSeconds: number;
}

/** CPU that lay idle while somebody waited: samples throughout which a request had been due for longer than `longMs`. */
export const idleWhileWaiting = (samples: readonly Sample[], outcomes: readonly Outcome[], longMs: number): Wasted => {
  const waits = outcomes.filter(({ kind, ms }) => kind === 'tile' && ms > longMs).map(({ dueMs, ms }) => ({ from: dueMs + longMs, to: dueMs + ms }));
  const merged = mergeSpans(waits);
  const waiting = samples.filter(({ atMs, lengthMs }) => merged.some(({ from, to }) => from <= atMs - lengthMs && to >= atMs));
  const total = (of: readonly Sample[], value: (sample: Sample) => number) => of.reduce((sum, sample) => sum + value(sample), 0);
  const waitingMs = total(waiting, ({ lengthMs }) => lengthMs);
  const idleMs = total(waiting, ({ idle, lengthMs }) => idle * lengthMs);
  return {
    waitingShare: waitingMs / total(samples, ({ lengthMs }) => lengthMs),
    idleCores: waitingMs === 0 ? 0 : idleMs / waitingMs,
    idleCoreSeconds: idleMs / 1000,
  };
};

const mergeSpans = (spans: readonly { from: number; to: number }[]): { from: number; to: number }[] => {
  const merged: { from: number; to: number }[] = [];
  for (const span of spans.toSorted((one, other) => one.from - other.from)) {
    const last = merged.at(-1);
    if (last !== undefined && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else merged.push({ ...span });
  }
  return merged;
};

export interface FullSpeedRule {
  stepMs: number;
  windowMs: number;
  limitMs: number;
  /** So many windows in a row must be good. */
  windows: number;
}

/**
 * From the step until service is at full speed: the beginning of the first window from which on, in so many windows in a row, 95 of 100 requests due in
 * each were answered within the limit. 0 is "never less than full"; null, not within the test.
 */
export const fullSpeedAfter = (outcomes: readonly Outcome[], { stepMs, windowMs, limitMs, windows }: FullSpeedRule): number | null => {
  const due = Map.groupBy(
    outcomes.filter(({ dueMs }) => dueMs >= stepMs),
    ({ dueMs }) => Math.floor((dueMs - stepMs) / windowMs),
  );
  const last = Math.max(...due.keys());
  for (let from = 0, good = 0; from + good <= last;) {
    if (latencyAt(due.get(from + good) ?? [], 0.95) > limitMs) [from, good] = [from + good + 1, 0];
    else if ((good += 1) === windows) return from * windowMs;
  }
  return null;
};
