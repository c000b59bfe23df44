/**
 * A governor that comes late is none: what is free may be filled in some 70 ms. So it says when it did, with what the kernel knows of the
 * thread meanwhile: it ran (something else of this process took its time), it waited for a CPU (the host is busy), or neither (it was stopped,
 * or the kernel kept it in a call, for a disk say).
 */
import { readFileSync } from 'node:fs';
import type { Logger } from '../../base/logger.ts';

const lateFromMs = 100;
const tellEveryMs = 1000;
/** In need it wakes every few milliseconds: the kernel is not asked each time. */
const sampleEveryMs = 400;

interface Sample {
  atMs: number;
  ranMs: number;
  waitedMs: number;
}

interface Late extends Record<'ranMs' | 'waitedMs' | 'withinMs', number> {
  lateMs: number;
}

export class Lateness {
  readonly #logger: Logger;
  #sample: Sample;
  /** Of those that were not told of yet. */
  #worst: Late | null = null;
  #times = 0;
  #toldAtMs = -Infinity;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#sample = sampleThread(performance.now());
  }

  woke(lateMs: number, nowMs: number): void {
    const isLate = lateMs >= lateFromMs;
    if (isLate || nowMs - this.#sample.atMs >= sampleEveryMs) {
      const before = this.#sample;
      this.#sample = sampleThread(nowMs);
      if (isLate) this.#note(lateMs, before, this.#sample);
    }
    if (this.#worst === null || nowMs - this.#toldAtMs < tellEveryMs) return;
    this.#logger.warn({ ...this.#worst, times: this.#times }, 'the governor came late');
    this.#worst = null;
    this.#times = 0;
    this.#toldAtMs = nowMs;
  }

  #note(lateMs: number, before: Sample, now: Sample): void {
    this.#times += 1;
    if (this.#worst !== null && this.#worst.lateMs >= lateMs) return;
    const since = (key: keyof Sample): number => Math.round(now[key] - before[key]);
    this.#worst = { lateMs: Math.round(lateMs), ranMs: since('ranMs'), waitedMs: since('waitedMs'), withinMs: since('atMs') };
  }
}

/** The main thread's times since it began; NaN, which is written as null, where the kernel keeps none. */
const sampleThread = (atMs: number): Sample => {
  try {
    const [ranNs, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
    return { atMs, ranMs: Number(ranNs) / 1e6, waitedMs: Number(waitedNs) / 1e6 };
  } catch {
    return { atMs, ranMs: NaN, waitedMs: NaN };
  }
};
