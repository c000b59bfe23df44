/** What somebody does must not end the agent, which is everybody's: clients that go at a bad moment, and more actions than may wait. Needs root. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { ControlClient } from '../../src/client/control.ts';
import { execChannel } from '../../src/model/agent-api.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { servicePidPath } from '../../src/setup/supervisor.ts';
import { isAlive, recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import { until } from './network-world.ts';

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has ended
  }
};

test('the agent goes on', { skip: skipInstance }, async (t) => {
  await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
  const paths = instancePaths(cenote.root);
  const agentPid = () => recallProcess(servicePidPath(paths, 'agent'))?.pid;
  const first = agentPid();
  assert.ok(first !== undefined);
  const state = async () => (await cenote.json<Machine>('get', 'web')).state;

  await t.test('when a client goes before it is told that his exec is refused', async () => {
    const nobody = '00000000-0000-4000-8000-000000000000';
    const words = ['upgrade: websocket', 'connection: Upgrade', 'sec-websocket-version: 13', 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=='];
    for (let round = 0; round < 100; round += 1) {
      const socket = connect(paths.agentSocket);
      await once(socket, 'connect');
      socket.write(`GET /v1/machines/${nobody}/exec HTTP/1.1\r\nhost: localhost\r\n${words.join('\r\n')}\r\n\r\n`);
      socket.destroy();
    }
    await cenote.must('pool');
    assert.equal(agentPid(), first);
  });

  await t.test('when who sends what is no archive goes before it has sent it all', async () => {
    await cenote.must('create', 'junk', '--memory', '64M', '--disk', '64M', '--', 'sleep', '1000000');
    const { id } = await cenote.json<Machine>('get', 'junk');
    for (let round = 0; round < 5; round += 1) {
      const socket = connect(paths.agentSocket);
      socket.write(`PUT /v1/machines/${id}/files?path=/root HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-tar\r\ncontent-length: 1000000\r\n\r\n`);
      socket.write(Buffer.alloc(512 + round * 40_000, 'junk'));
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(String(answer), /^HTTP\/1\.1 400 /);
      socket.destroy();
    }
    await cenote.must('delete', 'junk', '--yes');
    assert.equal(agentPid(), first);
  });

  await t.test('when root in a machine stops whatever is to run there, and leaves no runtime behind', async () => {
    const stopsAll = ['sh', '-c', 'while :; do kill -STOP -1; done'];
    await cenote.must('create', 'stopper', '--memory', '64M', '--disk', '64M', '--', ...stopsAll);
    const machine = await cenote.json<Machine>('get', 'stopper');
    const runtimes = () =>
      readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(`exec --process`) && commandOf(pid).includes(machine.id));
    let stopped = 0;
    for (let visit = 0; visit < 20; visit += 1) {
      const socket = new WebSocket(`ws+unix:${paths.controlSocket}:/v1/machines/stopper/exec`);
      await once(socket, 'open');
      socket.send(JSON.stringify({ command: ['sleep', '76543'], tty: visit % 2 === 1, stdin: false }));
      await sleep(100);
      stopped = Math.max(stopped, runtimes().length);
      socket.terminate();
    }
    assert.ok(stopped > 0, 'none was ever there');
    await until(() => runtimes().length === 0, 60_000, 100);
    await cenote.must('delete', 'stopper', '--yes');
    assert.equal(agentPid(), first);
  });

  await t.test('when a machine ends for which as many actions wait as may', async () => {
    const end = 'until test -e /tmp/end; do sleep 0.1; done; exit 3';
    await cenote.must('create', 'web', '--memory', '64M', '--disk', '128M', '--restart', 'never', '--', 'sh', '-c', end);
    await cenote.must('exec', 'web', '--', 'sh', '-c', 'head -c 30000000 /dev/urandom > /root/large');
    const client = new ControlClient(paths.controlSocket);
    // The first holds the machine's turn, since nobody reads it; the others wait for theirs.
    const reading = [await client.filesGet('web', '/root/large')];
    const gone = new AbortController();
    const waiting = Array.from({ length: 70 }, () => client.filesGet('web', '/root/large', { signal: gone.signal }).then((stream) => stream.destroy()));
    const refused = await Promise.any(waiting.map(async (one) => assert.rejects(one, { code: 'too_busy' })));
    assert.equal(refused, undefined);
    await cenote.must('exec', 'web', '--', 'touch', '/tmp/end');
    const exec = () => cenote.cenote('exec', 'web', '--', 'true');
    await until(async () => (await exec()).code !== 0);
    assert.match((await exec()).stderr, /web has just ended/);
    gone.abort();
    for (const stream of reading) stream.destroy();
    await Promise.allSettled(waiting);
    await until(async () => (await state()) === 'failed');
    assert.equal((await cenote.json<Machine>('get', 'web')).exit?.code, 3);
    assert.equal(agentPid(), first);
  });

  /** What an exec of this script runs, as the machine sees it. */
  const runs = async (script: string) => (await cenote.must('exec', 'other', '--', 'ps', '-eo', 'args')).split('\n').includes(script);
  const execOf = async (command: string[]): Promise<WebSocket> => {
    const socket = new WebSocket(`ws+unix:${paths.controlSocket}:/v1/machines/other/exec`);
    await once(socket, 'open');
    socket.send(JSON.stringify({ command, tty: false, stdin: true }));
    return socket;
  };

  await t.test('when a program ends without having read what it is sent, and its session is over', async () => {
    await cenote.must('create', 'other', '--memory', '64M', '--disk', '64M', '--', 'sleep', '1000000');
    const socket = await execOf(['head', '-c', '1']);
    const over = once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
    const block = Buffer.concat([Buffer.of(execChannel.stdin), Buffer.alloc(100_000)]);
    for (let count = 0; count < 20; count += 1) socket.send(block);
    await over;
  });

  for (const [what, signal, seconds] of [
    ['not for ever when it is to end: a session does not hold it up, and ends with it', 'SIGTERM', '54321'],
    ['and one that is killed leaves no session’s program behind, once there is another', 'SIGKILL', '65432'],
  ] as const)
    await t.test(what, async () => {
      const socket = await execOf(['sleep', seconds]);
      await until(() => runs(`sleep ${seconds}`));
      const over = once(socket, 'close');
      const agent = recallProcess(servicePidPath(paths, 'agent'))!;
      signalProcess(agent, signal);
      await until(() => !isAlive(agent), 20_000);
      await over;
      await until(async () => (await cenote.cenote('exec', 'other', '--', 'true')).code === 0, 30_000, 100);
      assert.equal(await runs(`sleep ${seconds}`), false);
    });
});
