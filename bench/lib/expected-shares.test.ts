import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectedShares } from './expected-shares.ts';

const percent = (shares: readonly number[]): number[] => shares.map((share) => Math.round(share * 1000) / 10);

test('weights decide where everybody has threads enough', () => {
  assert.deepEqual(percent(expectedShares([1, 2, 4], [2, 2, 2], 2)), [14.3, 28.6, 57.1]);
});

test('a single thread takes a core at most, and the others divide the rest by their weights', () => {
  assert.deepEqual(percent(expectedShares([1, 2, 4], [64, 2, 1], 2)), [16.7, 33.3, 50]);
});
