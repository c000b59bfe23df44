/** The laws of the pool's memory on the real kernel: a tenth of what `npm run soak` tries. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ControlClient } from '../../src/client/control.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { PoolWorld, poolMib } from './pool-trials.ts';

const seed = Number(process.env['CENOTE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const trials = Number(process.env['CENOTE_TEST_TRIALS'] ?? 25);

describe('the pool of memory', { skip: skipInstance, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let control: ControlClient;
  let world: PoolWorld;
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1536, memoryMib: poolMib });
    control = new ControlClient(instancePaths(instance.root).controlSocket);
    world = await PoolWorld.make(instance, control);
  });
  after(async () => {
    control[Symbol.dispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('neighbours that claim have what they were guaranteed, and the borrower lives', async (context) => {
    context.diagnostic(`seed ${seed}`);
    for (let round = 0; round < trials; round += 1) {
      const trial = await world.trial(seed + round);
      context.diagnostic(JSON.stringify(trial));
      assert.equal(trial.borrowerKills, 0, `seed ${trial.seed}: the borrower was killed although there is swap`);
      await world.settled();
    }
  });
});
