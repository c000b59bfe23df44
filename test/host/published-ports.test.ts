/** A port that a program of the host listens on is never taken from it: not by a machine that had it published before, either. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { Inside } from '../support/inside.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { until } from './network-world.ts';

const port = 18_471;
const refusal = new RegExp(`tcp port ${port} is in use by a program on this host`);

/** A program of this host, which says so to whoever connects. */
const program = async (): Promise<AsyncDisposable> => {
  const server = createServer((socket) => socket.end('of the host\n')).listen(port, '0.0.0.0');
  await once(server, 'listening');
  return { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())) };
};

const heard = async (): Promise<string> => {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
};

describe('published ports', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  const state = async (): Promise<Machine> => instance.json<Machine>('get', 'www');
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    const small = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01', '--stop-grace', '0s'];
    await instance.must('create', 'www', ...small, '--publish', `${port}:80`, '--no-start', '--', 'sleep', '1000000');
  });
  after(() => instance[Symbol.asyncDispose]());

  test('a start is refused while a program has the port, as a create is, and the program keeps it', async () => {
    await using _program = await program();
    const { code, stderr } = await instance.cenote('start', 'www');
    assert.equal(code, 5, stderr);
    assert.match(stderr, refusal);
    assert.equal((await state()).state, 'failed');
    assert.equal(await heard(), 'of the host\n');
  });

  test('a reboot or an update that could not bring it up again is refused before it is ended', async () => {
    await instance.must('start', 'www');
    const { startedAt } = await state();
    await using _program = await program();
    assert.match(await instance.refused('reboot', 'www'), refusal);
    assert.match(await instance.refused('update', 'www', '--', 'sleep', '2000000'), refusal);
    assert.deepEqual([(await state()).state, (await state()).startedAt], ['running', startedAt]);
  });

  test('one that ends meanwhile is tried again until the port is free, and says what it waits for', async () => {
    await instance.must('update', 'www', '--restart', 'always');
    {
      await using _program = await program();
      const inside = new Inside(instance);
      await runAny('kill', ['-KILL', String((await inside.status('www')).pid)]);
      inside[Symbol.dispose]();
      await until(async () => refusal.test((await state()).error ?? ''));
      assert.equal(await heard(), 'of the host\n');
    }
    await until(async () => (await state()).state === 'running');
  });

  test('a machine that runs keeps its own: it is rebooted and started again, also by an agent that came back', async () => {
    await instance.must('reboot', 'www');
    const { startedAt } = await state();
    await using services = await OwnServices.take(instance);
    await services.startBoth();
    await services.stop('agent', 'SIGKILL');
    await services.startAgent();
    await services.reachable();
    assert.deepEqual([(await state()).state, (await state()).startedAt], ['running', startedAt]);
    await instance.must('reboot', 'www');
  });
});
