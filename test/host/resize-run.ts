/**
 * Machines are resized at random while they work, several at once, up and down, at times to what cannot be. After each batch what the control
 * plane says, what the agent says and what the kernel has must be the same, sums too; nobody was killed or restarted, nobody stood still.
 */
import assert from 'node:assert/strict';
import { CenoteError } from '../../src/base/errors.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { guaranteeKeys } from '../../src/model/resources.ts';
import type { Resources } from '../../src/model/resources.ts';
import { eachAtMost } from '../../src/setup/each-at-most.ts';
import { busyMachineCommand, busyNeeds, stillness } from '../support/busy-machine.ts';
import type { TestInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import { KernelNumbers, isV1 } from '../support/kernel-numbers.ts';
import type { OwnServices } from '../support/own-services.ts';
import { random } from '../support/random.ts';

export interface ResizeRun {
  seed: number;
  resizes: number;
  /** No batch begins later. */
  minutes: number;
  note: (text: string) => void;
}

export interface ResizeOutcome {
  resizes: number;
  refused: number;
  /** Of machines, by themselves and with their waiting for CPU. */
  stoodMs: number;
  gapMs: number;
  p50Ms: number;
  p99Ms: number;
}

const machinesAtOnce = 6;
const batch = 60;
/** On v1 the ceiling is of memory and swap together, and a busy machine has more; on v2 it could be swapped, so there it is more than any pool has. */
const cannotBe: Partial<Resources> = isV1 ? { memoryMib: 16, memoryCeilingMib: 24 } : { memoryMib: 2 ** 20, memoryCeilingMib: null };

/** All of them fit the pool of the virtual host, which is the one with v2, beside what is there. */
const largestDiskMib = isV1 ? 100 : 80;

export const runResizes = async (
  instance: Pick<TestInstance, 'instance' | 'root'>,
  { control, agent }: Pick<OwnServices, 'control' | 'agent'>,
  { seed, resizes, minutes, note }: ResizeRun,
): Promise<ResizeOutcome> => {
  const below = random(seed);
  const kernel = new KernelNumbers(instance, (await control.info()).agent!);
  const machines = new Map<string, Machine>();
  for (let number = 0; number < machinesAtOnce; number += 1) {
    const resources = { cpuMillis: 10, memoryMib: 64, diskMib: 64, processes: 64 };
    const { job, machine } = await control.machineCreate({ name: `busy-${number}`, command: busyMachineCommand, resources, stopGraceSeconds: 1 }, { wait: 60 });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    machines.set(machine!.id, machine!);
  }
  const began = new Map([...machines.keys()].map((id) => [id, kernel.pids(id)[0]]));
  const times: number[] = [];
  const outcome: ResizeOutcome = { resizes: 0, refused: 0, stoodMs: 0, gapMs: 0, p50Ms: 0, p99Ms: 0 };

  const resize = async (id: string, change: Partial<Resources>): Promise<void> => {
    const begunMs = performance.now();
    const isPossible = JSON.stringify({ ...change, ...cannotBe }) !== JSON.stringify(change);
    try {
      const { job, machine } = await control.machineResize(id, { resources: change }, { wait: 120 });
      if (job.state === 'succeeded') machines.set(id, machine!);
      else assert.ok(!isPossible, `seed ${seed}: ${JSON.stringify(change)}: ${job.reason}`);
      outcome.refused += job.state === 'succeeded' ? 0 : 1;
    } catch (error) {
      if (isPossible || !(error instanceof CenoteError)) throw error;
      outcome.refused += 1;
    }
    times.push(performance.now() - begunMs);
    outcome.resizes += 1;
  };

  const agree = async (): Promise<void> => {
    const listed = await control.machineList();
    const hosted = new Map((await agent.machineList()).map((one) => [one.id, one.spec.resources]));
    for (const { id, name } of machines.values()) {
      const { resources } = listed.find((one) => one.id === id)!;
      const where = `seed ${seed}, after ${outcome.resizes} resizes, ${name}`;
      assert.deepEqual(resources, machines.get(id)!.resources, where);
      assert.deepEqual(hosted.get(id), resources, where);
      assert.deepEqual({ ...resources, ...kernel.of(id) }, resources, where);
      assert.equal(kernelMemory(instance.instance, id).kills, 0, where);
      assert.equal(kernel.pids(id)[0], began.get(id), `${where}: it was started anew`);
    }
    const disks = listed.map(({ resources }) => resources.diskMib).toSorted((a, b) => a - b);
    assert.deepEqual(kernel.quotas(), disks, `seed ${seed}, after ${outcome.resizes} resizes`);
    const { guaranteed } = await control.pool();
    for (const key of guaranteeKeys)
      assert.equal(
        guaranteed[key],
        listed.reduce((sum, { resources }) => sum + resources[key], 0),
        key,
      );
    for (const { address, name } of machines.values()) {
      const { stoodMs, gapMs, ticks } = await stillness(address);
      assert.ok(ticks > 0, name);
      outcome.stoodMs = Math.max(outcome.stoodMs, stoodMs);
      outcome.gapMs = Math.max(outcome.gapMs, gapMs);
    }
  };

  for (const { address } of machines.values()) await stillness(address);
  for (const end = Date.now() + minutes * 60_000; outcome.resizes < resizes && Date.now() < end;) {
    const planned = new Map<string, Partial<Resources>[]>([...machines.keys()].map((id) => [id, []]));
    for (let count = Math.min(batch, resizes - outcome.resizes); count > 0; count -= 1) [...planned.values()][below(machinesAtOnce)]!.push(randomSize(below));
    await eachAtMost(machinesAtOnce, [...planned], async ([id, changes]) => {
      for (const change of changes) await resize(id, change);
    });
    await agree();
    const sorted = times.toSorted((a, b) => a - b);
    const at = (part: number) => Math.round(sorted[Math.floor(sorted.length * part)]! * 10) / 10;
    Object.assign(outcome, { p50Ms: at(0.5), p99Ms: at(0.99) });
    if (outcome.resizes % (20 * batch) === 0) note(JSON.stringify(outcome));
  }
  for (const id of machines.keys()) await control.machineDelete(id, { wait: 60 });
  return outcome;
};

/** Some of what can be changed, never below what a busy machine needs; now and then what cannot be. */
const randomSize = (below: (limit: number) => number): Partial<Resources> => {
  const between = (least: number, most: number) => least + below(most - least + 1);
  const all: [keyof Resources, () => number | null][] = [
    ['cpuMillis', () => between(2, 15)],
    ['cpuCeilingMillis', () => (below(3) === 0 ? null : between(200, 2000))],
    ['memoryMib', () => between(16, 128)],
    ['memoryCeilingMib', () => (below(3) === 0 ? null : between(Math.max(128, busyNeeds.memoryMib), 512))],
    ['diskMib', () => between(2 * busyNeeds.diskMib, largestDiskMib)],
    ['processes', () => between(2 * busyNeeds.processes, 500)],
    ['networkCeilingMbps', () => (below(2) === 0 ? null : between(10, 1000))],
  ];
  const chosen = all.filter(() => below(2) === 0);
  const change = Object.fromEntries((chosen.length > 0 ? chosen : [all[0]!]).map(([key, value]) => [key, value()]));
  return below(20) === 0 ? { ...change, ...cannotBe } : change;
};
