/**
 * The laws of the pool's memory on cgroup v2, with whatever swap this host has. Runs inside the virtual host, on the instance of 1 GiB
 * that `cenote up` has made at the default root; skipped elsewhere.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, it } from 'node:test';
import { ControlClient } from '../../../src/client/control.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { PoolWorld } from '../../host/pool-trials.ts';

const paths = instancePaths(defaultRoot);
const skip = !existsSync('/sys/fs/cgroup/cgroup.controllers') || !existsSync(paths.config) ? 'wants a host of its own, with cgroup v2 only' : false;
const hasSwap = readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
const rounds = 3;

const control = new ControlClient(paths.controlSocket);
after(() => control[Symbol.dispose]());

it('neighbours of a borrower have what they claim, and are neither killed nor swapped', { skip }, async (context) => {
  const world = await PoolWorld.make({ instance: 'default' }, control);
  for (let round = 0; round < rounds; round += 1) {
    const { claimMs, swappedMib, borrowerKills } = await world.tenTimes();
    context.diagnostic(`claimed within ${Math.round(claimMs)} ms; ${borrowerKills} killed in the borrower, ${hasSwap ? 'with' : 'without'} swap`);
    assert.equal(swappedMib, 0);
    if (hasSwap) assert.equal(borrowerKills, 0);
    await world.settled();
  }
  for (const { id } of [world.borrower, ...world.neighbours]) await control.machineDelete(id, { wait: 120 });
});
