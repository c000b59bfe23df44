import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KillWatch, usedAtDeath } from './kill-watch.ts';

test('a kill is told of once, a machine that was started anew counts from zero, and calm asks nobody', () => {
  const counts = new Map([
    ['old', 3],
    ['calm', 0],
  ]);
  let hostKills = 10;
  let asked = 0;
  const memory = {
    kills: (machine: string) => {
      asked += 1;
      return counts.get(machine) ?? 0;
    },
  };
  const watch = new KillWatch(memory, () => hostKills, counts.keys());
  assert.deepEqual(
    watch.look(() => counts.keys()),
    [],
    'what happened before is known',
  );
  const before = asked;
  watch.look(() => counts.keys());
  assert.equal(asked, before);
  hostKills = 12;
  counts.set('old', 4);
  counts.set('new', 1);
  assert.deepEqual(
    watch.look(() => counts.keys()),
    [
      { machine: 'old', kills: 1 },
      { machine: 'new', kills: 1 },
    ],
  );
  hostKills = 13;
  counts.set('old', 2);
  assert.deepEqual(
    watch.look(() => counts.keys()),
    [{ machine: 'old', kills: 2 }],
    'its group is a new one',
  );
});

test('what was used at death is the limit, unless it was never reached', () => {
  assert.equal(usedAtDeath({ usedBytes: 1, limitBytes: 48 }, 60), 48, 'the limit was lower than before');
  assert.equal(usedAtDeath({ usedBytes: 1, limitBytes: 48 }, 30), 30, "killed for the host's want");
  assert.equal(usedAtDeath({ usedBytes: 1, limitBytes: 48 }, null), 48);
  assert.equal(usedAtDeath({ usedBytes: 50, limitBytes: 48 }, 60), 50);
});
