/** A machine whose program ends at once, again and again: what is told of it in each state of that round, and that it never contradicts itself. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RunResult } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { until } from './network-world.ts';

const small = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01', '--stop-grace', '0s'];

describe('crash loops', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  const get = (name: string): Promise<Machine> => instance.json<Machine>('get', name);
  /** On a busy host a program may begin, and end, only when nobody looks any more. */
  const toldOf = async (code: number, name: string, ...command: string[]): Promise<RunResult> => {
    for (;;) {
      const told = await instance.cenote('create', name, ...small, '--', ...command);
      if (told.stderr !== '') {
        assert.equal(told.code, code, told.stderr);
        return told;
      }
      await instance.must('delete', name);
    }
  };
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
  });
  after(() => instance[Symbol.asyncDispose]());

  test('create says that the program has ended, with its last words, and the machine stays and is tried again', async () => {
    const { stdout, stderr } = await toldOf(1, 'x1', 'sh', '-c', 'echo no such thing >&2; exit 3');
    assert.match(stdout, /^created and started x1 /);
    assert.match(stderr, /^no such thing$/m);
    assert.match(stderr, /^cenote: x1 was started and ended at once: exited with code 3\nit is tried again \(exit 3, .*again in \d/m);
    assert.match((await toldOf(0, 'x2', 'true')).stderr, /^x2 has ended: exited with code 0$/m);
    for (const words of [
      ['x3', '--no-watch'],
      ['x4', '--json'],
    ])
      await instance.must('create', ...words, ...small, '--restart', 'on-failure:1', '--', 'false');
  });

  test('why, get and ls tell of it whatever state it is in, and it is never shown as failed while it is retried', async () => {
    const seen = new Set<string>();
    await until(async () => {
      const { state, restarts, restartAt, exit } = await get('x1');
      assert.ok(['provisioning', 'running', 'stopping'].includes(state), state);
      assert.ok(restarts === 0 || exit?.code === 3);
      assert.ok(restartAt === undefined || !Number.isNaN(Date.parse(restartAt)));
      assert.match(
        await instance.must('why', 'x1'),
        /^- failed: it ended \d+s ago \(exited with code 3\), and has (not )?been started again.*; (the next try is|the last try)/m,
      );
      assert.match(await instance.must('ls', '-H', '-o', 'state', 'x1'), /^\w+ \(exit 3/);
      assert.match(await instance.must('get', 'x1'), /^State: +\w+ \(exit 3/m);
      seen.add(restartAt === undefined ? state : 'waits');
      return seen.has('waits') && restarts >= 3;
    });
    const { code, stderr } = await instance.cenote('wait', 'x1', '--state', 'failed', '--timeout', '1s');
    assert.equal(code, 75);
    assert.match(stderr, /x1 is still \w+ \(exit 3, restarted \d+ times/);
  });

  test('wait waits on while it is retried, and then all say that it was', async () => {
    assert.match(await instance.must('wait', 'x3', '--state', 'failed'), /^x3 is failed: exited with code 1$/m);
    const { restarts, restartAt, state } = await get('x3');
    assert.deepEqual([state, restarts, restartAt], ['failed', 1, undefined]);
    assert.match(
      await instance.must('why', 'x3'),
      /^- failed: it does not run: exited with code 1; it was started again 1 time, and its restart policy is on-failure:1$/m,
    );
  });
});
