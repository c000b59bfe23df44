import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { examineIdleMemory, idleMemoryTakers } from './idle-memory.ts';

/** Files as the kernel has them. */
const kernel = (context: TestContext, files: Record<string, string>) => {
  const root = mkdtempSync(join(tmpdir(), 'damon-'));
  context.after(() => rmSync(root, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), `${content}\n`);
  }
  return { root, takers: idleMemoryTakers(join(root, 'kdamonds'), join(root, 'module')) };
};

const scheme = (kdamond: number, state: string, action: string, age: string) => ({
  'kdamonds/nr_kdamonds': '1',
  [`kdamonds/${kdamond}/state`]: state,
  [`kdamonds/${kdamond}/contexts/0/monitoring_attrs/intervals/aggr_us`]: '5000000',
  [`kdamonds/${kdamond}/contexts/0/schemes/0/action`]: action,
  [`kdamonds/${kdamond}/contexts/0/schemes/0/access_pattern/age/min`]: age,
});

describe('idle memory', () => {
  it('is nobody’s where the kernel has no DAMON, or does not run it', (context) => {
    assert.deepEqual(kernel(context, {}).takers, []);
    assert.deepEqual(kernel(context, { ...scheme(0, 'off', 'pageout', '12'), 'module/enabled': 'N', 'module/min_age': '120000000' }).takers, []);
    assert.equal(examineIdleMemory([]).status, 'ok');
  });

  it('is swapped by a scheme that says so, and by no other', (context) => {
    const { root, takers } = kernel(context, { ...scheme(0, 'on', 'lru_deprio', '1'), ...scheme(1, 'on', 'pageout', '12') });
    const file = join(root, 'kdamonds/1/state');
    assert.deepEqual(takers, [{ seconds: 60, file, off: 'off' }]);
    const { status, says } = examineIdleMemory(takers);
    assert.equal(status, 'warn');
    assert.match(says, /for 60 s .*echo off > .*kdamonds\/1\/state$/);
  });

  it('is swapped by the kernel’s own module', (context) => {
    const { takers } = kernel(context, { ...scheme(0, 'on', 'pageout', '60'), 'module/enabled': 'Y', 'module/min_age': '120000000' });
    assert.deepEqual(
      takers.map(({ seconds, off }) => [seconds, off]),
      [
        [300, 'off'],
        [120, 'N'],
      ],
    );
    assert.match(examineIdleMemory(takers).says, /for 120 s .*echo off > .*; echo N > /);
  });
});
