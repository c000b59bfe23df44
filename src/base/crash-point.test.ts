import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashAt, noCrash } from './crash-point.ts';

const run = (plan: string, points: readonly string[]): string[] => {
  const died: string[] = [];
  const crash = crashAt(plan, (point) => died.push(point));
  for (const point of points) {
    if (point === 'ready') crash.ready();
    else crash.reach(point);
  }
  return died;
};

test('a plan counts from the start, or from being ready', () => {
  assert.deepEqual(run('start:2', ['a', 'b', 'ready', 'c', 'd']), ['b']);
  assert.deepEqual(run('ready:2', ['a', 'b', 'ready', 'c', 'd']), ['d']);
  assert.deepEqual(run('ready:3', ['a', 'b', 'ready', 'c', 'd']), []);
});

test('without a plan nothing is counted, and a wrong one is refused', () => {
  assert.equal(crashAt(undefined), noCrash);
  for (const plan of ['1', 'start:0', 'start:', 'ready:-1', 'later:2']) assert.throws(() => crashAt(plan), /start:N or ready:N/);
});
