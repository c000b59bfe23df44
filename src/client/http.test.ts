/** Bodies that break: their request ends with them, at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { HttpClient } from './http.ts';

const withServer = async (stack: AsyncDisposableStack): Promise<HttpClient> => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-http-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'server.sock');
  const server = createServer((request, response) => request.resume().on('end', () => response.end('{}')));
  server.listen(path);
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return stack.use(new HttpClient({ place: path, peer: 'the server' }));
};

test('a body that was given up before it is sent', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const client = await withServer(stack);
  const gone = new Readable({ read() {} });
  gone.destroy();
  await once(gone, 'close');
  await assert.rejects(client.send('PUT', '/', { stream: gone }));

  const broken = new Readable({ read() {} });
  broken.on('error', () => {});
  broken.destroy(new Error('the disk is gone'));
  await finished(broken).catch(() => {});
  await assert.rejects(client.send('PUT', '/', { stream: broken }), { message: 'the disk is gone' });
});

test('a body that breaks while the connection is made', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const client = await withServer(stack);
  const body = new Readable({ read() {} });
  const sent = client.send('PUT', '/', { stream: body });
  queueMicrotask(() => body.destroy(new Error('the disk is gone')));
  await assert.rejects(sent, { message: 'the disk is gone' });
});

test('a body that has been read to its end already is an empty one', { timeout: 10_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const client = await withServer(stack);
  const read = Readable.from(['x']);
  await Array.fromAsync(read);
  const response = await client.send('PUT', '/', { stream: read });
  assert.equal(response.statusCode, 200);
  response.resume();
});
