import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import { UnitProperties } from './unit-properties.ts';

test('what systemd did not take is told again until it has it', async () => {
  const told: string[] = [];
  const { promise: taken, resolve } = Promise.withResolvers<void>();
  const unit = new UnitProperties('a.slice', createLogger({ name: 'test', level: 'silent' }), {
    tell: async (name, properties) => {
      told.push(`${name} ${properties.join(' ')}`);
      if (told.length < 3) throw new Error('systemd is just starting anew');
      resolve();
    },
    tellAgainMs: 10,
  });
  // Whoever waits is not held up by that.
  await unit.set({ MemoryMin: 1, CPUWeight: 100 });
  const awake = setInterval(() => {}, 1000);
  await taken;
  clearInterval(awake);
  assert.deepEqual(
    told,
    Array.from({ length: 3 }, () => 'a.slice MemoryMin=1 CPUWeight=100'),
  );
  await unit.set({ MemoryMin: 2 });
  assert.deepEqual(told.slice(3), ['a.slice MemoryMin=2']);
});
