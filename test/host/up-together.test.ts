/** Instances that come and go at the same moment: what belongs to the whole host is made once, and taken away by the last. Needs root. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { skipInstance, startInstance } from '../support/instance.ts';

test('three instances come at once, and go while others come', { skip: skipInstance }, async () => {
  const options = { poolSizeMib: 512, cpuMillis: 50, memoryMib: 128 };
  const come = () => startInstance(options);
  const [one, two, three] = await Promise.all([come(), come(), come()]);
  const names = [one, two, three].map(({ instance }) => instance);
  assert.equal(new Set(names).size, 3, names.join());
  const [left, four, alsoLeft] = await Promise.all([one.destroy(), come(), two.destroy()]);
  assert.deepEqual([...left, ...alsoLeft], []);
  await Promise.all([three.must('info'), four.must('info')]);
  const [thirdLeft, fourthLeft] = await Promise.all([three.destroy(), four.destroy()]);
  assert.deepEqual([...thirdLeft, ...fourthLeft], []);
});
