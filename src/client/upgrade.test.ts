/** Connections passed through end on both sides, also for who has gone before it came to that. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { HttpClient } from './http.ts';
import { proxyUpgrade } from './upgrade.ts';

const asked = 'GET /exec HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n';

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

const listening = async (stack: AsyncDisposableStack, path: string, onUpgrade: OnUpgrade): Promise<Server> => {
  const server = createServer();
  const open = new Set<Duplex>();
  server.on('upgrade', (request, socket, head) => {
    open.add(socket);
    socket.on('error', () => {});
    onUpgrade(request, socket, head);
  });
  server.listen(path);
  await once(server, 'listening');
  stack.defer(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return server;
};

test('who goes before the connection is passed on leaves none open behind', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'cenote-upgrade-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const [inner, outer] = [join(directory, 'inner.sock'), join(directory, 'outer.sock')];
  const begun: Duplex[] = [];
  await listening(stack, inner, (_request, socket) => {
    begun.push(socket);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
  });
  const client = stack.use(new HttpClient({ place: inner, peer: 'the other' }));
  const passed = Promise.withResolvers<void>();
  const came = Promise.withResolvers<Socket>();
  await listening(stack, outer, (request, socket, head) => {
    came.resolve(socket as Socket);
    // As a caller that is found out about takes its time.
    void once(socket, 'close').then(() =>
      proxyUpgrade(client, '/exec', request, socket, head, new AbortController().signal).then(passed.resolve, passed.reject),
    );
  });
  const person = connect(outer);
  person.write(`${asked}the first frame`);
  (await came.promise).destroy();
  await assert.rejects(passed.promise, { code: 'timeout' });
  // What had begun all the same has ended.
  for (const socket of begun) if (!socket.readableEnded && !socket.destroyed) await once(socket.resume(), 'close');
});
