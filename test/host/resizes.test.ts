/** A part of the resizes that `npm run soak` does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { runResizes } from './resize-run.ts';
import { seed } from '../support/seed.ts';

test('books are the kernel’s own numbers, however busy machines are resized', { skip: skipInstance, timeout: 600_000 }, async (context) => {
  await using instance = await startInstance({ poolSizeMib: 1024 });
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  const outcome = await runResizes(instance, services, { seed, resizes: 180, minutes: 10, note: (text) => context.diagnostic(text) });
  context.diagnostic(JSON.stringify(outcome));
  assert.ok(outcome.refused > 0, 'some cannot be');
});
