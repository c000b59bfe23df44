import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { seed } from '../support/seed.ts';
import { runAgentCrashes } from './agent-crashes.ts';

const perAction = Number(process.env['CENOTE_TEST_PER_ACTION'] ?? 1);

test('the agent killed between any two steps, twice', { skip: skipInstance, timeout: 3_600_000 }, async (t) => {
  t.diagnostic(`seed ${seed}, ${perAction} of each action`);
  const note = (text: string) => t.diagnostic(text);
  await using instance = await startInstance({ poolSizeMib: 2048, note });
  await using services = await OwnServices.take(instance);
  const kills = await runAgentCrashes(instance, services, { seed, perAction, note, only: process.env['CENOTE_TEST_ONLY'] });
  assert.ok(kills > 0);
});
