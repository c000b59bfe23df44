/** Streams piped through the control plane: whole, at the reader's pace, and ended on both sides when one goes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { execChannel } from '../../src/model/agent-api.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import type { ControlFixture } from '../support/control-fixture.ts';

const mib = 1024 * 1024;

const withMachine = async (): Promise<ControlFixture & { id: string }> => {
  const fixture = await controlFixture();
  const { machine } = await fixture.client.machineCreate({ name: 'web' }, { wait: 10 });
  return Object.assign(Object.create(fixture) as ControlFixture, { id: machine!.id, [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose]() });
};

const sizeOf = async (stream: AsyncIterable<Buffer>): Promise<number> => {
  let size = 0;
  for await (const chunk of stream) size += chunk.length;
  return size;
};

test('files both ways, larger than any buffer', async () => {
  await using fixture = await withMachine();
  const { client, agent, id } = fixture;
  assert.equal(await sizeOf(await client.filesGet('web', `/bytes/${64 * mib}`)), 64 * mib);
  const chunks = function* () {
    for (let at = 0; at < 1024; at += 1) yield Buffer.alloc(65_536);
  };
  await client.filesPut('web', '/app', Readable.from(chunks()));
  assert.equal(agent.received.get(`${id}:/app`), 64 * mib);
  await assert.rejects(client.filesGet('web', 'app'), { code: 'invalid_argument' });
  await assert.rejects(client.filesPut('web', '/a\0b', Readable.from(['x'])), { code: 'invalid_argument' });
  await assert.rejects(client.filesPut('nosuch', '/a', Readable.from(['x'])), { code: 'not_found' });
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'refuse', code: 'not_enough', message: 'the disk is full' } : undefined);
  await assert.rejects(client.filesPut('web', '/app', Readable.from(chunks())), { code: 'not_enough' });
});

test('a reader that does not read holds the writer back', async () => {
  await using fixture = await withMachine();
  const { client, agent } = fixture;
  const response = await client.filesGet('web', `/bytes/${256 * mib}`);
  await sleep(200);
  assert.ok(agent.written < 32 * mib, `${agent.written} bytes are on their way`);
  response.destroy();
  await eventually(
    () => agent.cancelled,
    (count) => count === 1,
  );
});

test('a stream that breaks half way is an error, not an end', async () => {
  await using fixture = await withMachine();
  const response = await fixture.client.filesGet('web', '/broken');
  await assert.rejects(sizeOf(response));
});

test('an upload that the client gives up ends at the agent', async () => {
  await using fixture = await withMachine();
  const { client, agent } = fixture;
  const stop = new AbortController();
  const endless = new Readable({
    read() {
      setTimeout(() => this.push(Buffer.alloc(1000)), 1);
    },
  });
  const upload = client.filesPut('web', '/x', endless, { signal: stop.signal });
  await eventually(
    () => agent.calls.some(({ method, path }) => method === 'PUT' && path.endsWith('/files')),
    (asked) => asked,
  );
  stop.abort();
  await assert.rejects(upload);
  await eventually(
    () => agent.cancelled,
    (count) => count === 1,
  );
  endless.destroy();
});

test('logs, also followed until the reader goes', async () => {
  await using fixture = await withMachine();
  const { client, agent } = fixture;
  assert.equal((await Array.fromAsync(await client.logs('web', { tail: 5 }))).join('').trim().split('\n').length, 5);
  const following = await client.logs('web', { follow: true, tail: 1 });
  assert.match(String((await once(following, 'data'))[0]), /line 0/);
  following.destroy();
  await eventually(
    () => agent.cancelled,
    (count) => count === 1,
  );
  // Also when there is nothing to read yet, the answer begins.
  const quiet = await client.logs('web', { follow: true, tail: 0 });
  quiet.destroy();
  await eventually(
    () => agent.cancelled,
    (count) => count === 2,
  );
  await assert.rejects(client.http.json('GET', '/v1/machines/web/logs', { query: { tail: 'all' } }), { code: 'invalid_argument' });
});

const openExec = (fixture: ControlFixture, machine: string): WebSocket => new WebSocket(`ws+unix://${fixture.options.socketPath}:/v1/machines/${machine}/exec`);

test('exec is passed through both ways until either side goes', async () => {
  await using fixture = await withMachine();
  const { agent, client } = fixture;
  const session = openExec(fixture, 'web');
  await once(session, 'open');
  session.send(JSON.stringify({ command: ['cat'], tty: false, stdin: true }));
  const received: Buffer[] = [];
  session.on('message', (data: Buffer) => received.push(data));
  const sent = Buffer.concat([Buffer.of(execChannel.stdin), Buffer.alloc(mib, 'y')]);
  for (let at = 0; at < 8; at += 1) session.send(sent);
  await eventually(
    () => received.reduce((sum, data) => sum + data.length, 0),
    (size) => size === 8 * (mib + 1),
  );
  session.send(Buffer.of(execChannel.stdinEnd));
  await once(session, 'close');
  assert.equal(received.at(-1)!.toString(), `${String.fromCharCode(execChannel.exit)}{"code":7}`);

  const cut = openExec(fixture, 'web');
  await once(cut, 'open');
  const before = agent.cancelled;
  cut.terminate();
  await eventually(
    () => agent.cancelled,
    (count) => count > before,
  );

  const left = openExec(fixture, 'web');
  await once(left, 'open');
  const closed = once(left, 'close');
  await fixture.stopControl();
  await closed;
  await fixture.restart();

  await client.machineStop('web', {}, { wait: 10 });
  for (const [machine, status, code] of [
    ['web', 409, 'wrong_state'],
    ['nosuch', 404, 'not_found'],
    ['%ff', 400, 'invalid_argument'],
  ] as const) {
    const refused = openExec(fixture, machine);
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    assert.equal(response.statusCode, status);
    assert.equal((JSON.parse((await Array.fromAsync(response)).join('')) as { code: string }).code, code);
  }
  await assert.rejects(client.http.json('GET', '/v1/machines/web/exec'), { code: 'invalid_argument' });
});

test('what is not HTTP, and what is too large, gets an answer of the usual form', async () => {
  await using fixture = await withMachine();
  const { client } = fixture;
  const socket = connect(fixture.options.socketPath);
  socket.write('nonsense\r\n\r\n');
  assert.match((await Array.fromAsync(socket)).join(''), /^HTTP\/1\.1 400 [^]*"code":"invalid_argument"/);
  await assert.rejects(
    client.machineCreate({
      name: 'big',
      env: { A: 'x'.repeat(131_000), ...Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`B${at}`, 'x'.repeat(131_000)])) },
    }),
    /larger than 1 MiB/,
  );
  for (const [body, type] of [
    ['{"name":', 'application/json'],
    ['null', 'application/json'],
    ['[]', 'application/json'],
    ['{"__proto__":{}}', 'application/json'],
    ['name=x', 'application/x-www-form-urlencoded'],
    ['', 'application/json'],
  ] as const) {
    const response = await client.http.send('POST', '/v1/machines', { stream: Readable.from([body]), headers: { 'content-type': type } });
    assert.equal(response.statusCode, 400, body);
    assert.equal((JSON.parse((await Array.fromAsync(response)).join('')) as { code: string }).code, 'invalid_argument', body);
  }
  for (const path of ['/v1/machines/%ff', '/nosuch', `/v1/machines/${'x'.repeat(600)}`]) {
    const response = await client.http.send('GET', path);
    const { code } = JSON.parse((await Array.fromAsync(response)).join('')) as { code: string };
    assert.ok(['invalid_argument', 'not_found'].includes(code), path);
  }
});
