/** Ctrl-C while a person is still being asked whether our key may sign. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { HttpClient } from '../../client/http.ts';
import { openExec } from './exec-session.ts';

class AskingClient extends HttpClient {
  readonly asked = Promise.withResolvers<void>();
  readonly answer = Promise.withResolvers<void>();

  override async proof(): Promise<OutgoingHttpHeaders> {
    this.asked.resolve();
    await this.answer.promise;
    return {};
  }
}

test('who interrupts while the proof is made begins nothing', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'cenote-exec-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const place = join(directory, 'server.sock');
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  server.listen(place);
  await once(server, 'listening');
  stack.defer(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
  });
  const client = stack.use(new AskingClient({ place, peer: 'the control plane' }));
  const stop = new AbortController();
  const session = openExec(client, 'web', { command: ['hang'], tty: false, stdin: false }, { onOutput: () => {} }, stop.signal);
  await client.asked.promise;
  stop.abort();
  client.answer.resolve();
  await assert.rejects(session, { code: 'timeout' });
  assert.equal(sockets.clients.size, 0);
});
