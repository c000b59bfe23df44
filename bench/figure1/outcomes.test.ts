import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fullSpeedAfter, idleWhileWaiting, streamFigures } from './outcomes.ts';
import type { Sample } from './sampler.ts';
import type { Outcome } from './sender.ts';

const outcome = (dueMs: number, ms: number, fate: Outcome['fate'] = 'answered', tenant = 0): Outcome => ({ dueMs, ms, fate, tenant, kind: 'tile', lagMs: 0 });
const sample = (atMs: number, idle: number): Sample => ({ atMs, lengthMs: 250, idle, tenants: [], memoryMib: 0 });

test('what was not answered counts as the slowest', () => {
  const outcomes = [...Array.from({ length: 97 }, (_, index) => outcome(index, 5)), outcome(97, 30), outcome(98, 2000, 'late'), outcome(99, 1, 'broken', 1)];
  const figures = streamFigures(outcomes, 10);
  assert.deepEqual(
    [figures.asked, figures.answered, figures.late, figures.failed, figures.answeredPerSecond, figures.p50, figures.p99, figures.worstTenantP99],
    [100, 98, 1, 1, 9.8, 5, Infinity, Infinity],
  );
});

test('a report is no part of the stream', () => {
  assert.equal(streamFigures([outcome(0, 5), { ...outcome(0, 900), kind: 'report' }], 1).asked, 1);
});

test('idle while waiting counts whole samples in which somebody had waited long', () => {
  // Due at 100 and 400, both answered at 1100: longer than 50 ms late from 150 on.
  const outcomes = [outcome(100, 1000), outcome(400, 700), outcome(1300, 20)];
  const wasted = idleWhileWaiting([sample(250, 2), sample(500, 1.5), sample(750, 1.5), sample(1000, 0.9), sample(1250, 2), sample(1500, 2)], outcomes, 50);
  assert.deepEqual(wasted, { waitingShare: 0.5, idleCores: 1.3, idleCoreSeconds: 0.975 });
});

test('nobody waits, nothing is wasted', () => {
  assert.deepEqual(idleWhileWaiting([sample(250, 2)], [outcome(0, 10)], 50), { waitingShare: 0, idleCores: 0, idleCoreSeconds: 0 });
});

test('full speed is reached after the windows that were late', () => {
  const rule = { stepMs: 1000, windowMs: 250, limitMs: 100, windows: 4 };
  const stream = (slowUntil: number) => Array.from({ length: 300 }, (_, index) => outcome(index * 10, index * 10 >= 1000 && index * 10 < slowUntil ? 400 : 10));
  assert.equal(fullSpeedAfter(stream(0), rule), 0);
  assert.equal(fullSpeedAfter(stream(1600), rule), 750);
  assert.equal(fullSpeedAfter(stream(3000), rule), null);
  // Good for less than four windows before the end is not good for long enough.
  assert.equal(fullSpeedAfter(stream(2300), rule), null);
});

test('a few slow ones of a window are no lateness of the window', () => {
  const stream = Array.from({ length: 200 }, (_, index) => outcome(index * 10, index % 25 === 0 ? 400 : 10));
  assert.equal(fullSpeedAfter(stream, { stepMs: 0, windowMs: 500, limitMs: 100, windows: 4 }), 0);
});
