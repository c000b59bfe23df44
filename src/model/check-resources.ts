/** Numbers of a machine or a package that fit together. One rule for the control plane, which asks it first, and the agent, where changes meet. */
import { invalid } from '../base/errors.ts';
import { formatCores, formatCpu, formatMib } from '../base/units.ts';
import type { Resources } from './resources.ts';

const higher = 'give a higher ceiling too, or none';

/** A ceiling below the guarantee would promise and forbid the same. What lies between them may be metered. */
export const checkResources = (resources: Resources): Resources => {
  const { cpuMillis, cpuCeilingMillis, burst, memoryMib, memoryCeilingMib, networkMbps, networkCeilingMbps } = resources;
  if (cpuCeilingMillis !== null && cpuCeilingMillis < cpuMillis) {
    throw invalid('resources.cpuCeilingMillis', `the ceiling of ${formatCores(cpuCeilingMillis)} is below the guarantee of ${formatCpu(cpuMillis)}`, higher);
  }
  if (burst !== null && burst.baselineMillis < cpuMillis) {
    throw invalid(
      'resources.burst.baselineMillis',
      `the baseline of ${formatCores(burst.baselineMillis)} is below the guarantee of ${formatCpu(cpuMillis)}, which is never taken away`,
    );
  }
  if (burst !== null && cpuCeilingMillis !== null && cpuCeilingMillis <= burst.baselineMillis) {
    throw invalid(
      'resources.burst.baselineMillis',
      `the baseline of ${formatCores(burst.baselineMillis)} leaves nothing to burst below the ceiling of ${formatCores(cpuCeilingMillis)}`,
    );
  }
  if (networkCeilingMbps !== null && networkCeilingMbps < networkMbps) {
    throw invalid('resources.networkCeilingMbps', `the ceiling of ${networkCeilingMbps} Mbit/s is below the guarantee of ${networkMbps} Mbit/s`, higher);
  }
  if (memoryCeilingMib !== null && memoryCeilingMib < memoryMib) {
    throw invalid('resources.memoryCeilingMib', `the ceiling of ${formatMib(memoryCeilingMib)} is below the guarantee of ${formatMib(memoryMib)}`, higher);
  }
  return resources;
};
