/** How the host is cut, and how much is asked of it. Everything follows from the number of cores. */
import { availableParallelism } from 'node:os';

export interface Sizes {
  tenants: number;
  /** Cores that are not cut: the load generator's, the agent's, the host's. */
  reserveCores: number;
  /** 1/N of the rest each, in thousandths of a core. */
  sliceCpuMillis: number;
  sliceMemoryMib: number;
  /** What a report needs at once: more than a slice has left, and little beside the pool. */
  reportMib: number;
  /** What a tenant asks for at the top of its peak, in cores: an app of one thread cannot use more than one. */
  peakCores: number;
  diskMib: number;
  daySeconds: number;
  /** Of the day on which all peaks come at once. */
  togetherSeconds: number;
}

/** What the load of one tenant becomes in the step test. */
export const stepTimes = 20;

const reserveCores = 0.4;
/** Slices hold the day's mean, at 70 %; the peak of the curve is five times the mean. */
const peakPerSlice = 3.5;

export const sizesFor = (small: boolean, cores = availableParallelism()): Sizes => {
  const tenants = small ? 3 : Math.min(64, Math.max(8, cores * 4));
  const sliceCores = small ? 0.1 : (cores - reserveCores) / tenants;
  return {
    tenants,
    reserveCores,
    sliceCpuMillis: Math.floor(sliceCores * 1000),
    sliceMemoryMib: 160,
    reportMib: 160,
    peakCores: Math.min(0.8, sliceCores * peakPerSlice),
    diskMib: 256,
    daySeconds: small ? 8 : 96,
    togetherSeconds: small ? 4 : 24,
  };
};
