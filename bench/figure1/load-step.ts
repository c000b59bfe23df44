/**
 * A tenant's load steps up from one moment to the next: how long until it is served at full speed, by what is done about it. Whoever acts, acts at
 * the very moment of the step: what it takes to notice is in none of the figures.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../src/model/control-api.ts';
import { demand } from '../lib/instance.ts';
import { stepArrivals } from './arrivals.ts';
import { planFor, warm } from './cut.ts';
import { startLoad } from './load-process.ts';
import type { Load } from './load-process.ts';
import { fullSpeedAfter } from './outcomes.ts';
import type { FullSpeedRule } from './outcomes.ts';
import type { Sizes } from './sizes.ts';
import { targetOf, untilAnswers } from './tenants.ts';
import type { Cut, Tenants } from './tenants.ts';

export type Remedy = 'nothing' | 'resize' | 'machines';

export interface StepFigures {
  /** From the step until full speed, one a trial, in ms; null, not within the trial. */
  fullSpeedMs: (number | null)[];
  /** What the remedy itself took: the call of a resize, or from a machine's create to its first answer. */
  remedyMs: number[];
  /** Requests of a trial after the step, and those of them that were given up. */
  asked: number;
  late: number;
  addedMachines: number;
}

export const fullSpeedRule: FullSpeedRule = { stepMs: 2000, windowMs: 250, limitMs: 100, windows: 4 };
/** Machines of one slice are loaded to no more than this, else a queue stands before each. */
const fullShare = 0.75;

/** As many as that takes; never more than there are slices. */
export const machinesAdded = ({ peakCores, sliceCpuMillis, tenants }: Sizes): number =>
  Math.min(tenants, Math.ceil(peakCores / ((sliceCpuMillis / 1000) * fullShare))) - 1;

export interface StepTest {
  tenants: Tenants;
  sizes: Sizes;
  group: string[];
  rates: { before: number; after: number };
  seconds: number;
  trials: number;
}

export const measureStep = async (test: StepTest, remedy: Remedy): Promise<StepFigures> => {
  const figures: StepFigures = { fullSpeedMs: [], remedyMs: [], asked: 0, late: 0, addedMachines: remedy === 'machines' ? machinesAdded(test.sizes) : 0 };
  for (let trial = 0; trial < test.trials; trial += 1) await oneTrial(test, remedy, trial, figures);
  return figures;
};

const oneTrial = async (test: StepTest, remedy: Remedy, trial: number, figures: StepFigures): Promise<void> => {
  const { tenants, sizes, group, rates, seconds } = test;
  const cut: Cut = remedy === 'nothing' ? 'pool' : 'slice';
  const machines = [await tenants.create(`step-${remedy}-${trial}`, cut)];
  const target = targetOf(machines[0]!);
  await untilAnswers(target);
  await warm([target], sizes, group);
  const load = await startLoad(planFor(stepArrivals(rates, fullSpeedRule.stepMs / 1000, seconds, 100 + trial), [[target]], sizes), group);
  await sleep(fullSpeedRule.stepMs - Number(process.hrtime.bigint() - load.begunNs) / 1e6);
  if (remedy === 'resize') figures.remedyMs.push(await resizeToPool(tenants, machines[0]!));
  if (remedy === 'machines')
    await Promise.all(
      Array.from({ length: figures.addedMachines }, (_, index) => addMachine(tenants, `more-${trial}-${index}`, load, machines, figures.remedyMs)),
    );
  const { outcomes } = await load.ended;
  const after = outcomes.filter(({ dueMs }) => dueMs >= fullSpeedRule.stepMs);
  figures.fullSpeedMs.push(fullSpeedAfter(outcomes, fullSpeedRule));
  figures.asked += after.length;
  figures.late += after.filter(({ fate }) => fate !== 'answered').length;
  await tenants.remove(machines);
};

const resizeToPool = async ({ client }: Tenants, { id }: Machine): Promise<number> => {
  const begun = performance.now();
  demand(await client.machineResize(id, { resources: { cpuCeilingMillis: null, memoryCeilingMib: null } }, { wait: 30 }));
  return performance.now() - begun;
};

const addMachine = async (tenants: Tenants, name: string, load: Load, machines: Machine[], remedyMs: number[]): Promise<void> => {
  const begun = performance.now();
  const machine = await tenants.create(name, 'slice');
  machines.push(machine);
  await untilAnswers(targetOf(machine));
  load.addTarget(0, targetOf(machine));
  remedyMs.push(performance.now() - begun);
};
