/** An agent that stands still and does not end is ended, and whoever keeps it running starts another; machines notice nothing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { serviceLogPath, servicePidPath } from '../../src/setup/supervisor.ts';
import { recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { skipInstance, startInstance } from '../support/instance.ts';

const waitMs = 120_000;

test('an agent that stands still is ended, and another one serves', { skip: skipInstance, timeout: 300_000 }, async () => {
  await using instance = await startInstance({ poolSizeMib: 640 });
  const paths = instancePaths(instance.root);
  const agent = () => recallProcess(servicePidPath(paths, 'agent'));
  await instance.must('create', 'goes-on', '--disk', '64M', '--', 'sleep', '1000000');
  const before = await instance.json<Machine>('get', 'goes-on');
  const first = agent()!;
  signalProcess(first, 'SIGSTOP');
  for (const deadline = Date.now() + waitMs; [undefined, first.pid].includes(agent()?.pid); await sleep(100))
    assert.ok(Date.now() < deadline, `it stands still: ${readFileSync(serviceLogPath(paths, 'stand-in'), 'utf8')}`);
  await instance.until('goes-on', ['true']);
  const now = await instance.json<Machine>('get', 'goes-on');
  assert.equal(now.state, 'running');
  assert.equal(now.startedAt, before.startedAt);
  const log = readFileSync(serviceLogPath(paths, 'stand-in'), 'utf8');
  assert.match(log, /the agent stands still: governing in its place/);
  assert.match(log, new RegExp(`"pid":${first.pid},.*the agent still stands still: it is ended`));
  assert.deepEqual(await instance.destroy(), []);
});
