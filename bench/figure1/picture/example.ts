/** Figures such as a run gives, without a run: queues of one server each, worked through on paper. For tests of the picture and the rows. */
import { arrivalsOf } from '../arrivals.ts';
import { runSummary } from '../cut.ts';
import type { Figure1Data } from '../data.ts';
import type { Sample } from '../sampler.ts';
import { cutData, perSecond } from '../series.ts';
import type { Outcome } from '../sender.ts';
import { sizesFor } from '../sizes.ts';

const costMs = 2.6;
const timeoutMs = 2000;

export const exampleData = (): Figure1Data => {
  const sizes = sizesFor(false, 2);
  const shape = { tenants: sizes.tenants, seconds: sizes.daySeconds, peakRate: (sizes.peakCores * 1000) / costMs, seed: 1, peaks: 'apart' as const };
  const arrivals = arrivalsOf(shape);
  const cut = (speed: number) => {
    const { outcomes, samples } = workThrough(arrivals, sizes.tenants, speed, sizes.daySeconds, sizes.reportMib < sizes.sliceMemoryMib * speed * 2);
    return cutData(runSummary(outcomes, samples, { seconds: sizes.daySeconds, cores: 2, generatorCores: 0.07 }), sizes.tenants, sizes.daySeconds);
  };
  return {
    sizes,
    cores: 2,
    guaranteeCpuMillis: sizes.sliceCpuMillis,
    seed: shape.seed,
    costMs,
    peakRate: shape.peakRate,
    timeoutMs,
    longWaitMs: 50,
    fullSpeedLimitMs: 100,
    askedBySecond: perSecond(arrivals, sizes.tenants, sizes.daySeconds),
    cuts: { slice: cut(sizes.sliceCpuMillis / 1000), pool: cut(1), virtual: null },
    together: { slice: { asked: 12_000, answered: 5200, p50: null, p99: null }, pool: { asked: 12_000, answered: 6300, p50: 1800, p99: null } },
    steps: {
      nothing: { fullSpeedMs: [0, 0, 0], remedyMs: [], asked: 4000, late: 0, addedMachines: 0 },
      resize: { fullSpeedMs: [0, 250, 0], remedyMs: [8, 9, 12], asked: 4000, late: 0, addedMachines: 0 },
      machines: { fullSpeedMs: [2750, 3000, null], remedyMs: [900, 1100, 1200], asked: 4000, late: 300, addedMachines: 4 },
    },
    machine: { appMib: 38, monitorMib: 0.4, diskMib: 0.1, firstAnswerMs: [140, 150, 170], firstAnswerSliceMs: [420, 450, 480] },
    guest: { accelerator: 'tcg', firstAnswerMs: [13_000, 14_000], memoryMib: 170, givenMib: 160, layerMib: 12, imageMib: 420, packages: 88 },
    patch: { patchMs: 110, seenMs: 40, machines: 8, seeIt: 8, rebootAllMs: 1900 },
    missing: ['virtual machines with KVM: it does not start here'],
  };
};

const workThrough = (
  arrivals: ReturnType<typeof arrivalsOf>,
  tenants: number,
  speed: number,
  seconds: number,
  roomy: boolean,
): { outcomes: Outcome[]; samples: Sample[] } => {
  const free = Array<number>(tenants).fill(0);
  const busy = Array.from({ length: seconds * 4 }, () => Array<number>(tenants).fill(0));
  const outcomes = arrivals.map((arrival): Outcome => {
    if (arrival.kind === 'report') return { ...arrival, fate: roomy ? 'answered' : 'refused', ms: 1500, lagMs: 0 };
    const begin = Math.max(arrival.dueMs, free[arrival.tenant]!);
    const late = begin - arrival.dueMs > timeoutMs;
    if (late) return { ...arrival, fate: 'late', ms: timeoutMs, lagMs: 0 };
    free[arrival.tenant] = begin + costMs / speed;
    const slot = busy[Math.floor(begin / 250)];
    if (slot !== undefined) slot[arrival.tenant]! += costMs / 250;
    return { ...arrival, fate: 'answered', ms: free[arrival.tenant]! - arrival.dueMs, lagMs: 0.4 };
  });
  const samples = busy.map((used, index): Sample => {
    const sum = used.reduce((total, one) => total + one, 0);
    return { atMs: (index + 1) * 250, lengthMs: 250, idle: Math.max(0, 1.9 - sum), tenants: used, memoryMib: 400 };
  });
  return { outcomes, samples };
};
