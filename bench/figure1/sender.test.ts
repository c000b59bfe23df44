import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { Arrival } from './arrivals.ts';
import { Sender } from './sender.ts';
import type { Target } from './sender.ts';

const serve = async (listener: RequestListener): Promise<AsyncDisposable & { target: Target }> => {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};

const every = (ms: number, count: number, kind: Arrival['kind'] = 'tile'): Arrival[] =>
  Array.from({ length: count }, (_, index) => ({ dueMs: index * ms, tenant: 0, kind }));
const limits = { tileTimeoutMs: 10_000, reportTimeoutMs: 10_000, reportPath: '/report' };

test('a server that stalls delays nobody’s sending, and the wait of all behind it is counted', async () => {
  let stallUntil: number | undefined;
  await using server = await serve((_, response) => {
    stallUntil ??= performance.now() + 1000;
    setTimeout(() => response.end('x'), Math.max(0, stallUntil - performance.now()));
  });
  const outcomes = await new Sender({ ...limits, arrivals: every(50, 10), targets: [[server.target]] }).run();
  assert.equal(outcomes.length, 10);
  assert.ok(outcomes.every(({ fate }) => fate === 'answered'));
  // The first waited the whole stall, the last what was left of it.
  const [first, last] = [outcomes.find(({ dueMs }) => dueMs === 0)!, outcomes.find(({ dueMs }) => dueMs === 450)!];
  assert.ok(first.ms > last.ms + 200, `${first.ms} and ${last.ms}`);
});

test('what is not answered in time is given up, with the time it was given', async () => {
  await using server = await serve(() => {});
  const outcomes = await new Sender({ ...limits, tileTimeoutMs: 300, arrivals: every(10, 5), targets: [[server.target]] }).run();
  assert.deepEqual(
    outcomes.map(({ fate }) => fate),
    Array<string>(5).fill('late'),
  );
  assert.ok(outcomes.every(({ ms }) => ms >= 300));
});

test('a refusal and a broken connection are told apart', async () => {
  await using server = await serve((incoming, response) => {
    if (incoming.url === '/report') response.writeHead(503).end('no');
    else incoming.socket.destroy();
  });
  const fates = async (kind: Arrival['kind']) =>
    (await new Sender({ ...limits, arrivals: every(10, 1, kind), targets: [[server.target]] }).run()).map(({ fate }) => fate);
  assert.deepEqual(await fates('report'), ['refused']);
  assert.deepEqual(await fates('tile'), ['broken']);
});

test('a second place takes its part as soon as it is known', async () => {
  let second = 0;
  await using slow = await serve((_, response) => void setTimeout(() => response.end('x'), 100));
  await using other = await serve((_, response) => {
    second += 1;
    response.end('x');
  });
  const sender = new Sender({ ...limits, arrivals: every(20, 20), targets: [[slow.target]] });
  const running = sender.run();
  setTimeout(() => sender.addTarget(0, other.target), 100);
  assert.equal((await running).filter(({ fate }) => fate === 'answered').length, 20);
  assert.ok(second >= 10, `${second} of 20`);
});
