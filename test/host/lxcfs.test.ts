/** lxcfs killed under running machines: what it serves in them works again, and nobody was restarted for it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentClient } from '../../src/client/agent.ts';
import { openAllotment } from '../../src/host/allotment/allotment.ts';
import { undynamicTree } from '../../src/host/cgroup/tree-options.ts';
import { instancePaths, lxcfsPidPath } from '../../src/model/instance.ts';
import { serviceLogPath } from '../../src/setup/supervisor.ts';
import { skipInstance, startInstance } from '../support/instance.ts';

// All that lxcfs serves, and a number that only it can give: the machine's own memory.
const view = [
  '/bin/sh',
  '-c',
  'cd /proc && cat cpuinfo diskstats loadavg stat swaps uptime >/dev/null && ls /sys/devices/system/cpu >/dev/null && grep -w MemTotal: meminfo && grep -c lxcfs mounts',
];

test('machines see their own /proc again after lxcfs was killed', { skip: skipInstance, timeout: 300_000 }, async (t) => {
  await using instance = await startInstance({ poolSizeMib: 1024, note: (text) => t.diagnostic(text) });
  const paths = instancePaths(instance.root);
  for (const name of ['one', 'two'])
    await instance.must('create', name, '--disk', '64M', '--memory', '64M', '--memory-ceiling', '128M', '--', '/bin/sleep', '1000000');
  using agent = new AgentClient(paths.agentSocket);
  const pids = async () => (await agent.machineList()).map(({ spec, pid }) => `${spec.name} ${pid}`).toSorted();
  const before = await pids();
  const whole = await instance.must('exec', 'one', '--', ...view);
  assert.match(whole, /MemTotal: +131072 kB\n8\n/);

  const lxcfs = () => Number(readFileSync(lxcfsPidPath(paths), 'utf8'));
  const killed: number[] = [];
  for (let round = 0; round < 2; round += 1) {
    killed.push(lxcfs());
    process.kill(lxcfs(), 'SIGKILL');
    for (const name of ['one', 'two']) assert.equal(await instance.until(name, view, 'reading /proc'), whole);
    assert.ok(!killed.includes(lxcfs()), 'lxcfs was started anew');
  }
  assert.deepEqual(await pids(), before);
  // One that is started now has it from the start.
  await instance.must('create', 'three', '--disk', '64M', '--memory', '64M', '--memory-ceiling', '128M', '--', '/bin/sleep', '1000000');
  assert.equal(await instance.must('exec', 'three', '--', ...view), whole);
});

// Each start of lxcfs sets the options of the v2 tree anew, with none.
test('the mount options that lxcfs takes from the control groups come back', { skip: skipInstance, timeout: 300_000 }, async (t) => {
  await using instance = await startInstance({ poolSizeMib: 512, note: (text) => t.diagnostic(text) });
  const key = Object.keys(openAllotment().changes()).find((one) => one.startsWith('favordynmods:'));
  if (key === undefined) return t.skip('this kernel does not know favordynmods');
  for (const deadline = Date.now() + 60_000; undynamicTree() !== null; await sleep(100)) assert.ok(Date.now() < deadline, 'favordynmods is gone');
  const paths = instancePaths(instance.root);
  const killed = new Date().toISOString();
  process.kill(Number(readFileSync(lxcfsPidPath(paths), 'utf8')), 'SIGKILL');
  // Any agent on this host puts them back, at once if it happens to look then: ours says so when it was the one.
  const log = serviceLogPath(paths, 'agent');
  const putBack = (): boolean =>
    existsSync(log) &&
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes('mount options of the control groups put back'))
      .some((line) => (JSON.parse(line) as { time: string }).time > killed);
  for (const deadline = Date.now() + 60_000; undynamicTree() === null && !putBack(); await sleep(1))
    assert.ok(Date.now() < deadline, 'lxcfs did not take it away');
  for (const deadline = Date.now() + 60_000; undynamicTree() !== null; await sleep(100)) assert.ok(Date.now() < deadline, 'favordynmods did not come back');
});
