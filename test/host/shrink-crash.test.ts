/** A kill of the agent anywhere in a shrink, on this host; test/virtual does the same on cgroup v2. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { seed } from '../support/seed.ts';
import { runShrinkCrashes } from './shrink-run.ts';

test('an agent that is killed in a shrink leaves the old size or the new one', { skip: skipInstance, timeout: 600_000 }, async (context) => {
  const instance = await startInstance({ poolSizeMib: 1024, memoryMib: 768 });
  after(async () => assert.deepEqual(await instance.destroy(), []));
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  await runShrinkCrashes(instance, services.control, {
    seed,
    rounds: 8,
    agentKiller: async () => () => services.stop('agent', 'SIGKILL'),
    agentBack: async () => assert.equal(await services.startAgent(), true),
    note: (text) => context.diagnostic(text),
  });
});
