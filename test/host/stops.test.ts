/** How programs end when they are stopped, on the real kernel. The grace is longer than a test waits: who ends in time was not left to it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

const server = "const server = require('http').createServer((_, answer) => answer.end()).listen(80, () => console.log('listens'));";

describe('stops', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  const started = async (name: string, ...command: string[]): Promise<void> => {
    const flags = ['--image', 'node', '--memory', '64M', '--disk', '64M', '--stop-grace', '600s'];
    await instance.must('create', name, ...flags, '--', ...command);
  };
  const listening = async (name: string, script: string): Promise<void> => {
    await started(name, 'node', '-e', server + script);
    await instance.until(name, ['node', '-e', "require('net').connect(80).on('error', () => process.exit(1)).on('connect', () => process.exit())"]);
  };
  const stopped = async (name: string): Promise<[code: number | undefined, reason: string | undefined]> => {
    await instance.must('stop', name);
    const { exit } = await instance.json<Machine>('get', name);
    return [exit?.code, exit?.reason];
  };
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
  });
  after(() => instance[Symbol.asyncDispose]());

  test('a Node app without a handler of its own cannot die of the signal, and is not waited for', async () => {
    await listening('plain', '');
    assert.deepEqual(await stopped('plain'), [137, 'ended by SIGKILL']);
  });

  test('one that takes the signal once, and then ends in its own time, is given that', async () => {
    await listening('drains', "process.once('SIGTERM', () => setTimeout(() => process.exit(7), 3000));");
    assert.deepEqual(await stopped('drains'), [7, 'exited with code 7']);
  });

  test('one that keeps its handler and works in it, too', async () => {
    await listening('busy', "process.on('SIGTERM', () => { for (const end = Date.now() + 2000; Date.now() < end; ); process.exit(8); });");
    assert.deepEqual(await stopped('busy'), [8, 'exited with code 8']);
  });

  test('a program that does not catch the signal and is alone is not waited for', async () => {
    await started('sleeps', 'sleep', '1000');
    assert.deepEqual(await stopped('sleeps'), [137, 'ended by SIGKILL']);
  });
});
