/** The agent is killed anywhere in a resize that takes memory and disk back: the machine has the old size or the new one, as a whole, and lives. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipInstance, startInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import { KernelNumbers } from '../support/kernel-numbers.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';
import { OwnServices } from '../support/own-services.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';

const rounds = 8;
const ownMib = 40;
const cacheMib = 200;
const waitSeconds = 60;
const inStepMs = 20_000;

test('an agent that is killed in a shrink leaves the old size or the new one', { skip: skipInstance, timeout: 600_000 }, async (context) => {
  const instance = await startInstance({ poolSizeMib: 1024, memoryMib: 768 });
  after(async () => assert.deepEqual(await instance.destroy(), []));
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  const { control } = services;
  const large = { cpuCeilingMillis: 1500, memoryMib: 64, memoryCeilingMib: 512, diskMib: 400, processes: 200 };
  const small = { cpuCeilingMillis: 700, memoryMib: 32, memoryCeilingMib: 96, diskMib: 300, processes: 100 };
  const made = await control.machineCreate({ name: 'box', command: memoryMachineCommand, resources: large }, { wait: waitSeconds });
  const { id, address } = made.machine!;
  const kernel = new KernelNumbers(instance, (await control.info()).agent!);
  const [first] = kernel.pids(id);
  using taker = await MemoryTaker.at(address);
  await taker.take('own', ownMib);
  const below = random(seed);
  const resize = async (resources: typeof small): Promise<void> => {
    const { job } = await control.machineResize(id, { resources }, { wait: waitSeconds });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  };
  let tookMs = 0;
  for (let round = 0; round <= rounds; round += 1) {
    using cached = await MemoryTaker.at(address);
    await cached.take('cache', cacheMib);
    if (round === 0) {
      const begunMs = performance.now();
      await resize(small);
      tookMs = performance.now() - begunMs;
      context.diagnostic(`without a kill it takes ${Math.round(tookMs)} ms`);
      await resize(large);
      continue;
    }
    const answer = control.machineResize(id, { resources: small }, { wait: waitSeconds });
    const afterMs = below(Math.ceil(tookMs));
    await sleep(afterMs);
    await services.stop('agent', 'SIGKILL');
    const { limitMib } = kernelMemory(instance.instance, id);
    assert.equal(await services.startAgent(), true);
    const { job, machine } = await answer;
    context.diagnostic(`killed after ${afterMs} ms, with a limit of ${limitMib} MiB: ${job.state}`);
    assert.equal(job.state, 'succeeded', `seed ${seed}: ${job.reason}`);
    const has = () => ({ ...machine!.resources, ...kernel.of(id) });
    for (const deadline = Date.now() + inStepMs; JSON.stringify(has()) !== JSON.stringify(machine!.resources) && Date.now() < deadline;) await sleep(50);
    assert.deepEqual(has(), machine!.resources, `seed ${seed}, killed after ${afterMs} ms`);
    assert.equal(machine!.resources.memoryCeilingMib, small.memoryCeilingMib);
    assert.equal(kernelMemory(instance.instance, id).kills, 0);
    assert.equal(kernel.pids(id)[0], first, 'it was started anew');
    await taker.check();
    await resize(large);
  }
});
