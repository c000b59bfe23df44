/** A tenth of what `npm run soak -- pool` tries, or as much of it as a slow host does in the time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { seed } from '../support/seed.ts';
import { runPoolTrials } from './pool-run.ts';
import { poolMib } from './pool-trials.ts';

const trials = 100;
const minutes = 15;

test('a hundred times neighbours claim what a borrower has', { skip: skipInstance, timeout: 40 * 60_000 }, async (context) => {
  await using instance = await startInstance({ poolSizeMib: 768, memoryMib: poolMib });
  await using services = await OwnServices.take(instance);
  const told = await runPoolTrials(instance, services, { seed, trials, minutes, note: (text) => context.diagnostic(text) });
  context.diagnostic(told);
  assert.ok(!told.startsWith('0 '), told);
});
