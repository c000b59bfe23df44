import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Refusal } from '../refusal.ts';
import { parseRule } from './aperture.ts';

const facts = {
  sourceip: '10.1.2.3',
  requesttime: new Date('2026-11-26T10:30:00Z'),
  method: 'get',
  'user-agent': 'triton/7.17',
  activeRoles: ['ops', 'dev'],
  tag_tier: 'front',
  tag_count: '12',
};
const grants = (rule: string, action = 'getmachine'): boolean => parseRule(rule).grants(action, facts);

test('actions', () => {
  for (const rule of [
    'CAN getmachine',
    'can listmachines, getmachine',
    'CAN listmachines and getmachine',
    'CAN a, b, and getmachine',
    'CAN *',
    'can all',
    'CAN get*',
    'CAN "getmachine"',
  ])
    assert.equal(grants(rule), true, rule);
  for (const rule of ['CAN listmachines', 'CAN machine', 'CAN get', 'CAN "*x"', 'CAN *getmachines']) assert.equal(grants(rule), false, rule);
  assert.equal(grants('CAN GetMachine'), true);
});

test('conditions', () => {
  const holds = (condition: string) => grants(`CAN getmachine WHEN ${condition}`);
  for (const condition of [
    'sourceip = 10.0.0.0/8',
    'sourceip != 192.0.2.1',
    'sourceip in (192.0.2.1, 10.1.2.3)',
    'requesttime::time > 09:00:00 and requesttime::time < 17:00',
    'requesttime::day in (Thursday, fri)',
    'requesttime::date >= 2026-01-01',
    'tag_tier::string = front',
    'tag_tier = "front"',
    'tag_count::number > 9',
    '"user-agent" like triton*',
    'method = get or method = put',
    'not method = put',
    'not (method = put or tag_tier = back)',
    'activeRoles = dev',
    'nosuch = 1 or method = get',
  ])
    assert.equal(holds(condition), true, condition);
  for (const condition of [
    'sourceip = 192.0.2.0/24',
    'requesttime::time < 09:00:00',
    'tag_tier = back',
    'tag_count > 9',
    'nosuch = 1',
    'not nosuch = 1',
    'nosuch != 1',
    'activeRoles = admin',
    'method = get and nosuch = 1',
  ])
    assert.equal(holds(condition), false, condition);
});

test('what is no rule is refused', () => {
  for (const rule of [
    '',
    'CAN',
    'getmachine',
    'CAN getmachine WHEN',
    'CAN getmachine sourceip = 1',
    'CAN getmachine WHEN sourceip = x',
    'CAN getmachine WHEN a',
    'CAN getmachine WHEN a ~ b',
    'CAN getmachine WHEN (a = b',
    'CAN /get/::regex',
    'CAN getmachine WHEN method like /g.*t/',
    'CAN getmachine WHEN a::nosuch = b',
    `CAN getmachine WHEN ${'('.repeat(100)}a = b${')'.repeat(100)}`,
    `CAN ${'x'.repeat(5000)}`,
  ])
    assert.throws(() => parseRule(rule), Refusal, rule);
});

test('any text is a rule or refused', () => {
  const word = fc.constantFrom('CAN', 'getmachine', 'and', ',', 'WHEN', 'sourceip', '=', '10.0.0.1', '(', ')', 'not', 'or', 'in', '"', 'x::time', '\\', 'like');
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string({ maxLength: 5 })), { maxLength: 12 }), (words) => {
      try {
        parseRule(words.join(' ')).grants('getmachine', facts);
      } catch (error) {
        assert.ok(error instanceof Refusal, String(error));
      }
    }),
  );
});
