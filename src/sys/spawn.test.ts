import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isErrno } from '../base/errno.ts';
import { spawnWithPipe } from './spawn.ts';

const outputOf = async (script: string, env: Record<string, string> = {}): Promise<string> => {
  const { output, ended } = await spawnWithPipe('/bin/sh', ['-c', script], { PATH: '/usr/bin:/bin', ...env }, 5);
  let text = '';
  for await (const chunk of output) text += String(chunk);
  await ended;
  return text;
};

test('a program gets its arguments, its environment and the pipe, and nothing else', async () => {
  assert.equal(await outputOf('echo "$NAME" >&5', { NAME: 'a value' }), 'a value\n');
  const open = await outputOf('for fd in 0 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$fd; done >&5');
  assert.match(open, /^\/dev\/null\n\/dev\/null\npipe:\[\d+\]\n$/);
});

test('signals are as by default, none ignored or blocked', async () => {
  const status = await outputOf('grep -E "Sig(Ign|Blk)" /proc/self/status >&5');
  assert.deepEqual(
    [...status.matchAll(/Sig\w+:\s+(\w+)/g)].map(([, set]) => BigInt(`0x${set}`)),
    [0n, 0n],
  );
});

test('a program that is not there is said', async () => {
  await assert.rejects(spawnWithPipe('/nonexistent/program', [], {}, 5), (error) => isErrno(error, 'ENOENT'));
});

test('many at once leave no zombies', async () => {
  const outputs = await Promise.all(Array.from({ length: 50 }, (_, index) => outputOf(`echo ${index} >&5`)));
  assert.deepEqual(
    outputs,
    Array.from({ length: 50 }, (_, index) => `${index}\n`),
  );
});
