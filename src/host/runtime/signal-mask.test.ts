import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heeds } from './signal-mask.ts';

const status = (caught: string, blocked: string) => `Name:\tx\nSigBlk:\t${blocked}\nSigIgn:\t0000000000000000\nSigCgt:\t${caught}\n`;

test('a signal is heeded when it is caught or held back', () => {
  assert.equal(heeds(status('0000000000004000', '0000000000000000'), 15), true);
  assert.equal(heeds(status('0000000000000000', '0000000000004000'), 15), true);
  assert.equal(heeds(status('0000000000004000', '0000000000000000'), 2), false);
  assert.equal(heeds(status('8000000000000000', '0000000000000000'), 64), true);
  assert.equal(heeds('', 15), false);
});
