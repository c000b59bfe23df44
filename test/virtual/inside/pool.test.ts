/**
 * The laws of the pool's memory on cgroup v2, with whatever swap this host has. Runs inside the virtual host, on the instance of 1 GiB
 * that `cenote up` has made at the default root; skipped elsewhere.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { ControlClient } from '../../../src/client/control.ts';
import type { Event } from '../../../src/model/event.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { hasSwap } from '../../../src/setup/zram.ts';
import { PoolWorld } from '../../host/pool-trials.ts';
import type { Trial } from '../../host/pool-trials.ts';

const paths = instancePaths(defaultRoot);
const skip = !existsSync('/sys/fs/cgroup/cgroup.controllers') || !existsSync(paths.config) ? 'wants a host of its own, with cgroup v2 only' : false;
const seed = Number(process.env['CENOTE_TEST_SEED'] ?? 1);
const trials = Number(process.env['CENOTE_TEST_TRIALS'] ?? 3);
const swap = hasSwap();

describe(`the pool ${swap ? 'with' : 'without'} swap`, { skip }, () => {
  const control = new ControlClient(paths.controlSocket);
  let world: PoolWorld;
  before(async () => {
    world = await PoolWorld.make({ instance: 'default' }, control);
  });
  after(async () => {
    for (const { id } of [world.borrower, ...world.neighbours]) await control.machineDelete(id, { wait: 120 });
    control[Symbol.dispose]();
  });

  const settle = async ({ swappedMib, borrowerKills, borrowerLost }: Pick<Trial, 'swappedMib' | 'borrowerKills' | 'borrowerLost'>): Promise<void> => {
    assert.equal(swappedMib, 0);
    if (swap) assert.equal(borrowerKills, 0);
    if (borrowerLost > 0) await world.renewBorrower();
    await world.settled();
  };
  const kills = async (): Promise<Event[]> => {
    const all: Event[] = [];
    for await (const events of control.events()) all.push(...events);
    return all.filter(({ type }) => type === 'governor.killed');
  };

  it('a borrower at ten times its guarantee gives back what neighbours claim', async (context) => {
    for (let round = 0; round < 2; round += 1) {
      const outcome = await world.tenTimes();
      context.diagnostic(JSON.stringify(outcome));
      await settle(outcome);
    }
  });

  it('neighbours have what they claim, whatever the borrower has', async (context) => {
    for (let round = 0; round < trials; round += 1) {
      const trial = await world.trial(seed + round);
      context.diagnostic(JSON.stringify(trial));
      await settle(trial);
    }
  });

  it(swap ? 'nobody was killed for it' : 'who was killed for it was the borrower, and the numbers are told', async (context) => {
    const told = await kills();
    for (const { message } of told) context.diagnostic(message);
    if (swap) return assert.deepEqual(told, []);
    assert.ok(told.length > 0);
    for (const { subject, detail } of told) {
      assert.equal(subject, world.borrower.id);
      assert.equal(detail['guaranteeMib'], world.borrower.resources.memoryMib);
      assert.ok(Number(detail['usedMib']) > world.borrower.resources.memoryMib);
      assert.equal((detail['killed'] as unknown[]).length, 1);
    }
  });
});
