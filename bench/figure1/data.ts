/** What the figure's benchmark found, as it is stored: the table and the picture are made of this alone. Null where there is no number: unanswered, or not measured. */
import type { CutFigures } from './cut.ts';
import type { Accelerator } from './guest.ts';
import type { Remedy, StepFigures } from './load-step.ts';
import type { PatchFigures } from './patch.ts';
import type { Sizes } from './sizes.ts';
import type { Cut } from './tenants.ts';

export interface CutData extends Omit<CutFigures, 'outcomes' | 'samples' | 'p50' | 'p99' | 'worstTenantP99'> {
  p50: number | null;
  p99: number | null;
  worstTenantP99: number | null;
  /** Latency by the share of requests that were no slower. */
  percentiles: { share: number; ms: number | null }[];
  /** Cores by tenant, at each moment. */
  cpu: { second: number; tenants: number[]; idle: number }[];
  /** Answered requests a second by tenant, for each second in which they were due. */
  answeredBySecond: number[][];
}

export interface MachineCost {
  /** Idle: PSS of the app and of its monitor. */
  appMib: number;
  monitorMib: number;
  diskMib: number;
  /** From the request to create to the app's first answer. */
  firstAnswerMs: number[];
  /** The same of a machine held to one slice. */
  firstAnswerSliceMs: number[];
}

export interface GuestCost {
  accelerator: Accelerator;
  firstAnswerMs: number[];
  memoryMib: number;
  givenMib: number;
  /** Its own layer of the disk, and the system that is on it. */
  layerMib: number;
  imageMib: number;
  packages: number;
}

export interface Figure1Data {
  sizes: Sizes;
  cores: number;
  guaranteeCpuMillis: number;
  seed: number;
  /** CPU of one request, and the rate of a peak that follows. */
  costMs: number;
  peakRate: number;
  timeoutMs: number;
  longWaitMs: number;
  fullSpeedLimitMs: number;
  /** Requests a second asked for by tenant, for each second. */
  askedBySecond: number[][];
  /** `virtual`: the slices as real virtual machines; null where the processor would be emulated. */
  cuts: Record<Cut, CutData> & { virtual: CutData | null };
  /** The day on which all peaks come at once. */
  together: Record<Cut, Pick<CutData, 'asked' | 'answered' | 'p50' | 'p99'>>;
  steps: Record<Remedy, StepFigures>;
  machine: MachineCost;
  guest: GuestCost | null;
  patch: PatchFigures | null;
  /** What could not be measured here, and why. */
  missing: string[];
}
