import { test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { runCycles } from './lifecycle-cycles.ts';

const cycles = Number(process.env['CENOTE_TEST_CYCLES'] ?? 300);

test('machines made and deleted leave nothing behind', { skip: skipInstance, timeout: 7_200_000 }, async (t) => {
  const note = (text: string) => t.diagnostic(text);
  await using instance = await startInstance({ poolSizeMib: 1536, note });
  await using services = await OwnServices.take(instance);
  await runCycles(instance, services, { cycles, note });
});
