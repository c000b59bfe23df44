import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { test } from 'node:test';
import { Listener } from './listener.ts';

const options = {
  address: '127.0.0.1',
  answerDatagram: () => undefined,
  answerStream: () => undefined,
  onError: () => {},
  limits: { streams: 1, streamsPerPeer: 1 },
};

test('any port is one that is free for datagrams and streams; a certain one may be in use', async () => {
  await using held = new AsyncDisposableStack();
  const taken: Server[] = [];
  // So many that some are met by chance.
  for (let index = 0; index < 3000; index += 1) taken.push(held.adopt(createServer().listen(0, '127.0.0.1'), (server) => void server.close()));
  await Promise.all(taken.map((server) => once(server, 'listening')));
  const ports = new Set(taken.map((server) => (server.address() as AddressInfo).port));
  for (let round = 0; round < 100; round += 1) {
    await using listener = await Listener.open({ ...options, port: 0 });
    assert.ok(!ports.has(listener.port));
  }
  const [inUse] = ports;
  await assert.rejects(Listener.open({ ...options, port: inUse! }), { code: 'EADDRINUSE' });
});
