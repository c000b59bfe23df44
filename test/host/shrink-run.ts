/** The agent is killed anywhere in a resize that takes memory and disk back: the machine has the old size or the new one, as a whole, and lives. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../src/client/control.ts';
import type { TestInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import { KernelNumbers } from '../support/kernel-numbers.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';
import { random } from '../support/random.ts';

export interface ShrinkRun {
  seed: number;
  rounds: number;
  /** Asked before a resize, since to find the agent may take a while: what ends it at once. */
  agentKiller: () => Promise<() => Promise<void>>;
  /** Waits until there is another. */
  agentBack: () => Promise<void>;
  note: (text: string) => void;
}

const ownMib = 40;
const cacheMib = 200;
const waitSeconds = 120;
const inStepMs = 20_000;
const large = { cpuCeilingMillis: 1500, memoryMib: 64, memoryCeilingMib: 512, diskMib: 400, processes: 200 };
const small = { cpuCeilingMillis: 700, memoryMib: 32, memoryCeilingMib: 96, diskMib: 300, processes: 100 };

export const runShrinkCrashes = async (
  cenote: Pick<TestInstance, 'instance' | 'root'>,
  control: ControlClient,
  { seed, rounds, agentKiller, agentBack, note }: ShrinkRun,
): Promise<void> => {
  const made = await control.machineCreate({ name: 'box', command: memoryMachineCommand, resources: large }, { wait: waitSeconds });
  const { id, address } = made.machine!;
  const kernel = new KernelNumbers(cenote, (await control.info()).agent!);
  const [first] = kernel.pids(id);
  using taker = await MemoryTaker.at(address);
  await taker.take('own', ownMib);
  const below = random(seed);
  const resize = async (resources: typeof small): Promise<void> => {
    const { job } = await control.machineResize(id, { resources }, { wait: waitSeconds });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  };
  let tookMs = 0;
  let inTime = 0;
  for (let round = 0; round <= rounds; round += 1) {
    using cached = await MemoryTaker.at(address);
    await cached.take('cache', cacheMib);
    if (round === 0) {
      const begunMs = performance.now();
      await resize(small);
      tookMs = performance.now() - begunMs;
      note(`without a kill it takes ${Math.round(tookMs)} ms`);
      await resize(large);
      continue;
    }
    const kill = await agentKiller();
    let isAnswered = false;
    const answer = control.machineResize(id, { resources: small }, { wait: waitSeconds }).finally(() => (isAnswered = true));
    const afterMs = below(Math.ceil(tookMs));
    await sleep(afterMs);
    inTime += isAnswered ? 0 : 1;
    await kill();
    const { limitMib } = kernelMemory(cenote.instance, id);
    await agentBack();
    const { job, machine } = await answer;
    note(`killed after ${afterMs} ms, with a limit of ${limitMib} MiB: ${job.state}`);
    assert.equal(job.state, 'succeeded', `seed ${seed}: ${job.reason}`);
    const has = () => ({ ...machine!.resources, ...kernel.of(id) });
    for (const deadline = Date.now() + inStepMs; JSON.stringify(has()) !== JSON.stringify(machine!.resources) && Date.now() < deadline;) await sleep(50);
    assert.deepEqual(has(), machine!.resources, `seed ${seed}, killed after ${afterMs} ms`);
    assert.equal(machine!.resources.memoryCeilingMib, small.memoryCeilingMib);
    assert.equal(kernelMemory(cenote.instance, id).kills, 0);
    assert.equal(kernel.pids(id)[0], first, 'it was started anew');
    await taker.check();
    await resize(large);
  }
  assert.ok(inTime > 0, 'every kill came too late');
  await control.machineDelete(id, { wait: waitSeconds });
};
