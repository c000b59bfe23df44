/** The paper's first figure, measured: one host and one day of load, cut into fixed slices and as one pool. */
import { availableParallelism } from 'node:os';
import { messageChain } from '../../src/base/errors.ts';
import { arrivalsOf } from '../figure1/arrivals.ts';
import type { LoadShape } from '../figure1/arrivals.ts';
import { firstAnswers } from '../figure1/costs.ts';
import { costOfRequest, longWaitMs, tileTimeoutMs } from '../figure1/cut.ts';
import type { CutData, Figure1Data, MachineCost } from '../figure1/data.ts';
import { measureDays } from '../figure1/days.ts';
import { fullSpeedRule, measureStep } from '../figure1/load-step.ts';
import type { Remedy, StepFigures } from '../figure1/load-step.ts';
import { measurePatch } from '../figure1/patch.ts';
import type { PatchFigures } from '../figure1/patch.ts';
import { drawFigure } from '../figure1/picture/picture.ts';
import { favourInstance, openReserve } from '../figure1/reserve.ts';
import { rowsOf } from '../figure1/rows.ts';
import { sampledMachines } from '../figure1/sampler.ts';
import { perSecond } from '../figure1/series.ts';
import { sizesFor, stepTimes } from '../figure1/sizes.ts';
import type { Sizes } from '../figure1/sizes.ts';
import { openTenants, targetOf, untilAnswers } from '../figure1/tenants.ts';
import type { Cut, Tenants } from '../figure1/tenants.ts';
import { measureVirtual } from '../figure1/virtual.ts';
import type { Bench, Suite } from '../lib/suite.ts';

const seed = 1;

export const figure1Suite: Suite = {
  name: 'figure1',
  title: 'The figure: slices and a pool',
  method:
    'Tenants that each run the same small map server in Node (`examples/tiles`; a tile is some 2.5 ms of CPU), in machines of one image. One seeded day of requests, twice: with the host cut into slices (ceiling = ' +
    'guarantee = 1/N of what is not reserved), and with the same guarantees and no ceilings. How it is measured is told above under "The figure".',
  run: async (bench) => {
    const small = bench.count(0, 1) === 1;
    const sizes = sizesFor(small);
    const missing: string[] = [];
    const tenants = await openTenants(sizes, bench.note);
    try {
      const { data, cost, shape } = await measureMachines(bench, tenants, sizes, missing);
      await leaveNothing(tenants);
      const { guest, day } = await measureVirtual({
        sizes,
        shape,
        cores: data.cores,
        boots: bench.count(2, process.env['TEST_VIRTUAL'] === undefined ? 0 : 1),
        loadAnyway: small,
        missing,
        note: bench.note,
      });
      const whole: Figure1Data = { ...data, cuts: { ...data.cuts, virtual: day }, machine: cost, guest, missing };
      return { rows: rowsOf(whole), data: { ...whole } };
    } catch (error) {
      // Said before taking the instance away, which may fail for the same cause.
      bench.note(`failed: ${messageChain(error)}`);
      throw error;
    } finally {
      await tenants.destroy();
    }
  },
  picture: { file: 'figure1.svg', draw: (stored) => drawFigure(stored.data as unknown as Figure1Data, stored) },
};

const leaveNothing = async (tenants: Tenants): Promise<void> => {
  const left = await tenants.destroy();
  if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
};

const measureMachines = async (bench: Bench, tenants: Tenants, sizes: Sizes, missing: string[]) => {
  using reserve = openReserve();
  favourInstance(tenants.host.instance);
  const group = reserve.files;
  const costMs = await requestCost(bench, tenants, sizes, group);
  const peakRate = (sizes.peakCores * 1000) / costMs;
  bench.note(`a tile costs ${costMs.toFixed(2)} ms of CPU: ${peakRate.toFixed(0)} a second at a peak`);
  const shape: LoadShape = { tenants: sizes.tenants, seconds: sizes.daySeconds, peakRate, seed, peaks: 'apart' };
  const cores = availableParallelism();
  const request = { tenants, sizes, shape, group, cores, note: bench.note };
  let patch: PatchFigures | null = null;
  const slice = await measureDays(request, 'slice');
  const pool = await measureDays(request, 'pool', async (machines) => {
    patch = await measurePatch(tenants, machines).catch((error: unknown) => {
      missing.push(`a patch of the platform: ${String(error)}`);
      return null;
    });
  });
  const steps = await measureSteps(bench, tenants, sizes, group, peakRate);
  const cost: MachineCost = {
    ...pool.idle,
    firstAnswerMs: await firstAnswers(tenants, 'pool', bench.count(10, 2)),
    firstAnswerSliceMs: await firstAnswers(tenants, 'slice', bench.count(5, 1)),
  };
  const data: Omit<Figure1Data, 'machine' | 'guest' | 'missing' | 'cuts'> & { cuts: Record<Cut, CutData> } = {
    sizes,
    cores,
    guaranteeCpuMillis: tenants.guaranteeCpuMillis,
    seed,
    costMs,
    peakRate,
    timeoutMs: tileTimeoutMs,
    longWaitMs,
    fullSpeedLimitMs: fullSpeedRule.limitMs,
    askedBySecond: perSecond(arrivalsOf(shape), sizes.tenants, sizes.daySeconds),
    cuts: { slice: slice.day, pool: pool.day },
    together: { slice: slice.together, pool: pool.together },
    steps,
    patch,
  };
  return { data, cost, shape };
};

const requestCost = async (bench: Bench, tenants: Tenants, sizes: Sizes, group: string[]): Promise<number> => {
  const machine = await tenants.create('cost', 'pool');
  await untilAnswers(targetOf(machine));
  const costMs = await costOfRequest(targetOf(machine), sampledMachines(tenants.host.instance, [machine.id]), sizes, group, bench.count(5, 2));
  await tenants.remove([machine]);
  return costMs;
};

const measureSteps = async (bench: Bench, tenants: Tenants, sizes: Sizes, group: string[], peakRate: number): Promise<Record<Remedy, StepFigures>> => {
  const rates = { before: peakRate / stepTimes, after: peakRate };
  const step = async (remedy: Remedy): Promise<StepFigures> => {
    const figures = await measureStep({ tenants, sizes, group, rates, seconds: bench.count(8, 5), trials: bench.count(3, 1) }, remedy);
    bench.note(`step, ${remedy}: full speed after ${figures.fullSpeedMs.map((ms) => ms ?? 'more than the test').join(', ')} ms`);
    return figures;
  };
  return { nothing: await step('nothing'), resize: await step('resize'), machines: await step('machines') };
};
