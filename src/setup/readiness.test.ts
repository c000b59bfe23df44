import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CenoteError } from '../base/errors.ts';
import { answers, fatalReason } from './readiness.ts';
import type { ServiceManager } from './services.ts';

const line = (time: number, error: string, level = 60): string =>
  JSON.stringify({ level, time: new Date(time).toISOString(), error, msg: 'agent could not start' });
const step = { at: () => {} };
const unreachable = () => Promise.reject(new CenoteError('unavailable', 'does not answer'));

test('an end for the same reason, twice since the start, is one that will not change', () => {
  const from = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(fatalReason([line(from, 'no disk'), 'not JSON', 'null', line(from + 1, 'no disk')], from), 'no disk');
  assert.equal(fatalReason([line(from, 'no disk')], from), undefined);
  assert.equal(fatalReason([line(from, 'no disk'), line(from + 1, 'locked')], from), undefined);
  assert.equal(fatalReason([line(from - 2, 'no disk'), line(from - 1, 'no disk')], from), undefined, 'of an earlier start');
  assert.equal(fatalReason([line(from, 'slow', 40), line(from, 'slow', 40)], from), undefined, 'only a warning');
});

test('waiting ends with the reason, and not with patience', async () => {
  const manager: Pick<ServiceManager, 'lastLines'> = { lastLines: () => Promise.resolve([line(Date.now(), 'no disk'), line(Date.now(), 'no disk')]) };
  await assert.rejects(answers('agent', unreachable, { manager: manager as ServiceManager, step }), {
    code: 'failed',
    message: 'the agent cannot start: no disk',
  });
});

test('waiting ends with the answer, and with a refusal', async () => {
  const manager: Pick<ServiceManager, 'lastLines'> = { lastLines: () => Promise.resolve([]) };
  let asked = 0;
  const late = () => (++asked < 3 ? unreachable() : Promise.resolve('here'));
  assert.equal(await answers('control', late, { manager: manager as ServiceManager, step }), 'here');
  const refused = () => Promise.reject(new CenoteError('forbidden', 'not you'));
  await assert.rejects(answers('control', refused, { manager: manager as ServiceManager, step }), { code: 'forbidden' });
});
