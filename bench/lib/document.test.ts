import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sectionsOf } from './document.ts';

test('sections are found by their titles, whole', () => {
  const text = '\n\n### One\n\nHow.\n\n| a |\n\n### The second\n\nHow too.\n';
  assert.deepEqual(
    [...sectionsOf(text)],
    [
      ['One', ['### One\n\nHow.\n\n| a |\n']],
      ['The second', ['### The second\n\nHow too.\n']],
    ],
  );
});
