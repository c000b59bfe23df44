import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { GroupCommit } from './group-commit.ts';

test('whoever comes while a sync runs waits for the next one, together', async () => {
  const waiting: (() => void)[] = [];
  const group = new GroupCommit(() => new Promise<void>((resolve) => waiting.push(resolve)));
  const done: string[] = [];
  const first = group.commit().then(() => done.push('first'));
  const others = ['second', 'third'].map((name) => group.commit().then(() => done.push(name)));
  assert.equal(waiting.length, 1);
  waiting[0]!();
  await first;
  await tick();
  assert.deepEqual([done, waiting.length], [['first'], 2]);
  waiting[1]!();
  await Promise.all(others);
  assert.equal(waiting.length, 2);
});

test('a failed sync is told to its own callers only', async () => {
  let round = 0;
  const group = new GroupCommit(async () => {
    round += 1;
    if (round === 1) throw new Error('disk');
  });
  const first = group.commit();
  const second = group.commit();
  await assert.rejects(first, /disk/);
  await second;
});

test('every change is covered by a sync that began after it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('change', 'tick'), { maxLength: 40 }), async (actions) => {
      let written = 0;
      let synced = 0;
      const group = new GroupCommit(async () => {
        const seen = written;
        await tick();
        synced = seen;
      });
      const commits: Promise<void>[] = [];
      for (const action of actions) {
        if (action === 'tick') await tick();
        else {
          written += 1;
          const mine = written;
          commits.push(group.commit().then(() => assert.ok(synced >= mine)));
        }
      }
      await Promise.all(commits);
    }),
    { numRuns: 50 },
  );
});
