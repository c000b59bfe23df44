import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseRate } from './response-rate.ts';
import type { Verdict } from './response-rate.ts';

const counted = (verdicts: readonly Verdict[]) =>
  Object.fromEntries((['send', 'truncate', 'drop'] as const).map((one) => [one, verdicts.filter((verdict) => verdict === one).length]));
const ask = (rate: ResponseRate, count: number, addressOf: (index: number) => string, nowMs = 0) =>
  counted(Array.from({ length: count }, (_, index) => rate.take(addressOf(index), nowMs)));

test('a block of addresses has its rate and burst; beyond, half is cut short and half is not sent', () => {
  const rate = new ResponseRate({ perSecond: 10, burstSeconds: 2 });
  assert.deepEqual(
    ask(rate, 60, (index) => `192.0.2.${index}`),
    { send: 20, truncate: 20, drop: 20 },
  );
  assert.deepEqual(
    ask(rate, 5, () => '192.0.3.1'),
    { send: 5, truncate: 0, drop: 0 },
    'another block',
  );
  assert.deepEqual(
    ask(rate, 20, () => '192.0.2.1', 500),
    { send: 5, truncate: 7, drop: 8 },
    'half a second later',
  );
  assert.deepEqual(
    ask(rate, 30, (index) => `2001:db8:0:1${String(index).padStart(2, '0')}::1`),
    { send: 20, truncate: 5, drop: 5 },
  );
});

test('who can be nobody else is not limited, and many blocks cost no more memory than some', () => {
  const rate = new ResponseRate({ perSecond: 1, burstSeconds: 1 });
  assert.equal(ask(rate, 1000, () => '127.0.0.1').send, 1000);
  assert.equal(ask(rate, 200_000, (index) => `${index >> 16}.${(index >> 8) & 255}.${index & 255}.1`).send, 200_000);
});
