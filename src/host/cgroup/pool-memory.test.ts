/** What is written where, on a tree of plain files: the kernel's part is tried in test/host/governor.test.ts and on the virtual host. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../exec/run.ts';
import { PoolMemoryV1 } from './pool-memory-v1.ts';
import { PoolMemoryV2 } from './pool-memory-v2.ts';

const mib = 2 ** 20;
type Files = Record<string, number | string>;

const tree = (context: TestContext, files: { pool: Files; machine: Files }) => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-pool-'));
  context.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'm'));
  for (const [name, value] of Object.entries(files.pool)) writeFileSync(join(root, name), String(value));
  for (const [name, value] of Object.entries(files.machine)) writeFileSync(join(root, 'm', name), String(value));
  const text = (name: string) => readFileSync(join(root, 'm', name), 'utf8');
  return { root, text, number: (name: string) => Number(text(name)) };
};

const v1 = {
  pool: {
    'memory.limit_in_bytes': 1024 * mib,
    'memory.usage_in_bytes': 700 * mib,
    'memory.memsw.limit_in_bytes': 1536 * mib,
    'memory.memsw.usage_in_bytes': 1000 * mib,
  },
  machine: {
    'memory.limit_in_bytes': 1000 * mib,
    'memory.usage_in_bytes': 500 * mib,
    'memory.memsw.limit_in_bytes': 1000 * mib,
    'memory.memsw.usage_in_bytes': 800 * mib,
    'memory.swappiness': '60',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3',
  },
};
const v2 = {
  pool: { 'memory.max': 1024 * mib, 'memory.current': 700 * mib, 'memory.swap.max': 512 * mib, 'memory.swap.current': 500 * mib },
  machine: {
    'memory.max': 1000 * mib,
    'memory.high': 'max',
    'memory.current': 500 * mib,
    'memory.swap.max': 1000 * mib,
    'memory.swap.current': 300 * mib,
    'memory.reclaim': '',
    'memory.events': 'low 0\noom 4\noom_kill 2',
  },
};

const hold = (bytes: number, maySwap = true) => ({ bytes, ceilingBytes: 1000 * mib, maySwap });

test('v1: a hold is never below what is used, and what could be had as memory is not counted as swap', async (context) => {
  const { root, number } = tree(context, v1);
  const memory = new PoolMemoryV1(root);
  assert.deepEqual(memory.totals(), { limitBytes: 1024 * mib, usedBytes: 700 * mib, swapLeftBytes: 212 * mib });
  assert.deepEqual(memory.read('m'), { usedBytes: 500 * mib, limitBytes: 1000 * mib });
  assert.equal(memory.kills('m'), 3);
  await memory.limit('m', hold(400 * mib));
  assert.equal(number('memory.limit_in_bytes'), 500 * mib);
  await memory.allowSwap('m', false, 1000 * mib);
  assert.equal(number('memory.memsw.limit_in_bytes'), 800 * mib);
  await memory.limit('m', hold(900 * mib));
  assert.equal(number('memory.memsw.limit_in_bytes'), 1200 * mib, 'more memory, with no more swap');
  assert.equal(number('memory.limit_in_bytes'), 900 * mib);
  await memory.allowSwap('m', true, 1000 * mib);
  assert.equal(number('memory.memsw.limit_in_bytes'), 1000 * mib);
});

test('v2: what would kill is written of no machine, also of one with more than its ceiling, as when the pool was made smaller', async (context) => {
  const { root, number, text } = tree(context, v2);
  const memory = new PoolMemoryV2(root);
  for (const bytes of [64 * mib, 900 * mib]) {
    await memory.limit('m', { bytes, ceilingBytes: 400 * mib, maySwap: true });
    assert.ok(number('memory.high') > 500 * mib && number('memory.max') > 500 * mib, `${text('memory.high')} ${text('memory.max')}`);
    await memory.limit('m', { bytes, ceilingBytes: 400 * mib, maySwap: false });
    assert.equal(text('memory.high'), 'max');
    assert.ok(number('memory.max') > 500 * mib);
  }
  writeFileSync(join(root, 'm', 'memory.current'), String(400 * mib));
  await memory.limit('m', { bytes: 900 * mib, ceilingBytes: 400 * mib, maySwap: true });
  assert.deepEqual([text('memory.high'), number('memory.max')], ['max', 400 * mib]);
});

test('v1: what is taken stops at the floor, and the machine may be swapped again afterwards', async (context) => {
  const { root, number, text } = tree(context, v1);
  const memory = new PoolMemoryV1(root);
  await memory.reclaim('m', { bytes: 16 * mib, ceilingBytes: 1000 * mib, maySwap: true, floorBytes: 64 * mib });
  assert.equal(number('memory.limit_in_bytes'), 484 * mib);
  await memory.reclaim('m', { bytes: 16 * mib, ceilingBytes: 1000 * mib, maySwap: false, floorBytes: 495 * mib });
  assert.equal(number('memory.limit_in_bytes'), 495 * mib);
  assert.equal(text('memory.swappiness'), '60');
  const written = (['spared', 'barred', 'none'] as const).map((protection) => {
    memory.protect('m', protection);
    return text('memory.swappiness');
  });
  assert.deepEqual(written, ['1', '0', '60']);
});

test('what can be taken is what the lists of pages say; after a reclaim they are read only when less came than was asked', async (context) => {
  // Plain files: a write frees nothing.
  const lists = (prefix: string) =>
    ['active_anon 30', 'inactive_anon 10', 'active_file 4', 'inactive_file 1', 'unevictable 900'].map((line) => `${prefix}${line}`);
  const request = { bytes: 16 * mib, ceilingBytes: 1000 * mib, floorBytes: 64 * mib };
  for (const [made, prefix, make] of [
    [v1, 'total_', (root: string) => new PoolMemoryV1(root)],
    [v2, '', (root: string) => new PoolMemoryV2(root)],
  ] as const) {
    const { root } = tree(context, { pool: made.pool, machine: { ...made.machine, 'memory.stat': lists(prefix).join('\n') } });
    const memory = make(root);
    assert.equal(memory.takeable('m'), 45);
    assert.deepEqual(await memory.reclaim('m', { ...request, maySwap: true }), { freedBytes: 0, leftBytes: 45 });
    assert.deepEqual(await memory.reclaim('m', { ...request, maySwap: false }), { freedBytes: 0, leftBytes: Infinity });
    assert.deepEqual(await memory.reclaim('m', { ...request, bytes: 0, maySwap: true }), { freedBytes: 0, leftBytes: Infinity });
  }
});

test('v1: an agent that dies while the kernel reclaims leaves a machine that may still be swapped rather than killed', async (context) => {
  const { root, text } = tree(context, v1);
  const memory = new PoolMemoryV1(root);
  const limitFile = join(root, 'm', 'memory.limit_in_bytes');
  rmSync(limitFile);
  await run('mkfifo', [limitFile]);
  const reclaiming = memory.reclaim('m', { bytes: 16 * mib, ceilingBytes: 1000 * mib, maySwap: true, floorBytes: 64 * mib });
  // The write waits for a reader, as it would for the kernel.
  await sleep(20);
  const inBetween = text('memory.swappiness');
  assert.equal(await readFile(limitFile, 'utf8'), String(484 * mib));
  await reclaiming;
  assert.equal(inBetween, '60');
});

test('v1: what is in swap beyond the part that is theirs is missing as memory', (context) => {
  const { root } = tree(context, { ...v1, pool: { ...v1.pool, 'memory.memsw.limit_in_bytes': 1100 * mib } });
  assert.deepEqual(new PoolMemoryV1(root).totals(), { limitBytes: 1024 * mib, usedBytes: 924 * mib, swapLeftBytes: -224 * mib });
});

test('what is offered to the kernel is found by the next governor, and taken back', async (context) => {
  const { root } = tree(context, v1);
  const memory = new PoolMemoryV1(root);
  const child = start('sleep', ['1000'], { stdio: 'ignore' });
  context.after(() => child.kill());
  await new Promise((resolve) => child.once('spawn', resolve));
  writeFileSync(join(root, 'm', 'cgroup.procs'), `${child.pid}\n`);
  const score = () => Number(readFileSync(`/proc/${child.pid}/oom_score_adj`, 'utf8'));
  assert.deepEqual(memory.leftover('m', 1000 * mib), { isSwapHeld: false, isOffered: false });
  await memory.offer('m', true, 128 * mib);
  await memory.allowSwap('m', false, 1000 * mib);
  assert.equal(score(), 1000);
  const left = { isSwapHeld: true, isOffered: true };
  await memory.limit('m', hold(700 * mib));
  assert.deepEqual(memory.leftover('m', 1200 * mib), left);
  await memory.offer('m', false, 128 * mib);
  assert.equal(score(), 775, 'an eighth of the pool is guaranteed');
  writeFileSync(`/proc/${child.pid}/oom_score_adj`, '700');
  await memory.offer('m', false, 128 * mib);
  assert.equal(score(), 700, 'a score of its own');
});

test('v2: a limit leaves room for what is taken meanwhile, since below what is used it would kill', async (context) => {
  const { root, number, text } = tree(context, v2);
  const memory = new PoolMemoryV2(root);
  assert.deepEqual(memory.totals(), { limitBytes: 1024 * mib, usedBytes: 700 * mib, swapLeftBytes: 12 * mib });
  assert.equal(memory.kills('m'), 2);
  await memory.limit('m', hold(64 * mib, false));
  assert.equal(number('memory.max'), 502 * mib);
  assert.equal(text('memory.high'), 'max', 'where there is no swap it would wait for ever');
  assert.equal(memory.read('m')?.limitBytes, 502 * mib);
  await memory.limit('m', hold(64 * mib));
  assert.equal(number('memory.high'), 502 * mib, 'where there is, it is not killed for reaching it');
  assert.equal(number('memory.max'), 1000 * mib);
  assert.equal(memory.read('m')?.limitBytes, 502 * mib);
  await memory.limit('m', hold(1000 * mib));
  assert.equal(text('memory.high'), 'max');
  await memory.reclaim('m', { bytes: 16 * mib, ceilingBytes: 1000 * mib, maySwap: false, floorBytes: 64 * mib });
  assert.equal(text('memory.reclaim'), `${16 * mib} swappiness=0`);
  await memory.allowSwap('m', false, 1000 * mib);
  assert.equal(number('memory.swap.max'), 300 * mib);
});

test('v2: memory of its own is taken while it is held', async (context) => {
  const { root, text, number } = tree(context, v2);
  const memory = new PoolMemoryV2(root);
  await memory.reclaim('m', { bytes: 16 * mib, ceilingBytes: 1000 * mib, maySwap: true, floorBytes: 64 * mib });
  assert.equal(text('memory.reclaim'), `${16 * mib} swappiness=0`, 'cache alone: of its own memory it would swap in again what that frees');
  assert.equal(number('memory.high'), 502 * mib, 'at what it uses');
});

test('a machine that is gone is nothing to any of them', async (context) => {
  for (const memory of [new PoolMemoryV1(tree(context, v1).root), new PoolMemoryV2(tree(context, v2).root)]) {
    assert.equal(memory.read('gone'), null);
    assert.equal(memory.kills('gone'), 0);
    assert.deepEqual(await memory.reclaim('gone', { bytes: mib, ceilingBytes: mib, maySwap: true, floorBytes: 0 }), { freedBytes: 0, leftBytes: Infinity });
    await memory.limit('gone', hold(mib));
    await memory.allowSwap('gone', false, mib);
    memory.protect('gone', 'spared');
    assert.equal(memory.takeable('gone'), 0);
    await memory.offer('gone', true, mib);
    assert.deepEqual(memory.leftover('gone', mib), { isSwapHeld: false, isOffered: false });
    assert.deepEqual(await memory.kill('gone', { bytes: 2 ** 20, floorBytes: 0 }), []);
  }
});
