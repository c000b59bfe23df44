/**
 * Exec sessions: as many as may be, each ended with whoever asked for it, at whatever moment he goes; and a terminal whose program reads
 * slowly, or nothing: it holds up nobody, and who reads at last has every byte. Needs root.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { execChannel } from '../../src/model/agent-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

interface Session {
  said: () => string;
  write: (data: Buffer) => void;
  closed: Promise<unknown>;
  end: () => void;
}

const terminal = async (cenote: TestInstance, script: string): Promise<Session> => {
  const socket = new WebSocket(`ws+unix:${instancePaths(cenote.root).controlSocket}:/v1/machines/web/exec`);
  await once(socket, 'open');
  let said = '';
  socket.on('message', (data: Buffer) => {
    if (data[0] === execChannel.stdout) said += data.subarray(1).toString('latin1');
  });
  const closed = once(socket, 'close');
  socket.send(JSON.stringify({ command: ['sh', '-c', `stty raw -echo; echo ready; ${script}`], tty: true, stdin: true }));
  while (!said.includes('ready')) await sleep(10);
  return {
    said: () => said,
    write: (data) => socket.send(Buffer.concat([Buffer.of(execChannel.stdin), data])),
    closed,
    end: () => socket.terminate(),
  };
};

test('as many sessions as a machine may have', { skip: skipInstance }, async () => {
  await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
  await cenote.must('create', 'web', '--memory', '64M', '--disk', '64M');
  const open = async (): Promise<WebSocket | string> => {
    const socket = new WebSocket(`ws+unix:${instancePaths(cenote.root).controlSocket}:/v1/machines/web/exec`);
    const { promise, resolve } = Promise.withResolvers<WebSocket | string>();
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (_request, response) => void text(response).then((body) => resolve(`${response.statusCode} ${body}`)));
    return promise;
  };
  const sockets: WebSocket[] = [];
  for (;;) {
    const made = await open();
    if (typeof made === 'string') {
      assert.match(made, /^429 .*web has 64 exec sessions, as many as may be at once/);
      break;
    }
    made.send(JSON.stringify({ command: ['sleep', '54321'], tty: false, stdin: false }));
    sockets.push(made);
  }
  assert.equal(sockets.length, 64);
  sockets.pop()!.terminate();
  while (typeof (await open()) === 'string') await sleep(50);
  for (const socket of sockets) socket.terminate();
  await cenote.until('web', ['sh', '-c', '! cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -q "sleep 5432[1]"']);
});

test('who goes while his program is being started leaves none behind', { skip: skipInstance }, async () => {
  await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
  await cenote.must('create', 'web', '--memory', '64M', '--disk', '64M');
  const visit = async (tty: boolean, stayMs: number): Promise<void> => {
    const socket = new WebSocket(`ws+unix:${instancePaths(cenote.root).controlSocket}:/v1/machines/web/exec`);
    await once(socket, 'open');
    socket.send(JSON.stringify({ command: ['sleep', '54321'], tty, stdin: false }));
    await sleep(stayMs);
    socket.terminate();
  };
  // From before the runtime has begun to after the program runs, which takes some 20 ms where nothing else is done.
  for (let stayMs = 0; stayMs < 40; stayMs += 1) await Promise.all([visit(false, stayMs), visit(true, stayMs), visit(false, stayMs)]);
  await cenote.until('web', ['sh', '-c', '! cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -q "sleep 5432[1]"']);
});

test('a program that does not read its terminal', { skip: skipInstance }, async () => {
  await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
  await cenote.must('create', 'web', '--image', 'node', '--memory', '48M', '--disk', '64M', '--', 'sleep', '100000');
  const deaf = await terminal(cenote, 'exec sleep 54321');
  for (let count = 0; count < 40; count += 1) deaf.write(Buffer.alloc(8192, 'a'));
  await sleep(500);
  assert.equal(await cenote.must('exec', 'web', '--', 'echo', 'there'), 'there\n');

  const data = Buffer.from(Array.from({ length: 300_000 }, (_, at) => 97 + (at % 26)));
  const slow = await terminal(cenote, `sleep 1; head -c ${data.length} | md5sum`);
  for (let at = 0; at < data.length; at += 10_000) slow.write(data.subarray(at, at + 10_000));
  await slow.closed;
  assert.match(slow.said(), new RegExp(createHash('md5').update(data).digest('hex')));
  // Whoever typed has gone, while what he typed still waits: the program goes too.
  deaf.end();
  await cenote.until('web', ['sh', '-c', '! cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -q "sleep 5432[1]"']);
});
