import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../base/logger.ts';
import { MessageFramer, frame } from '../dns/stream.ts';
import { Relay, relayLimits } from './relay.ts';

const logger = createLogger({ name: 'test', level: 'fatal' });

const query = (id: number, name = 'name'): Buffer =>
  Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length, ...Buffer.from(name), 0, 0, 1, 0, 1]);
const answerTo = (message: Buffer, code = 0): Buffer => {
  const answer = Buffer.from(message);
  answer[2] = 0x81;
  answer[3] = 0x80 | code;
  return answer;
};

let directory: string;
let resolvConfPath: string;
let held: AsyncDisposableStack;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cenote-resolver-'));
  resolvConfPath = join(directory, 'resolv.conf');
  held = new AsyncDisposableStack();
});

afterEach(async () => {
  await held.disposeAsync();
  rmSync(directory, { recursive: true });
});

/** A server on an address of its own in 127/8, so that several can have one port, as real ones have. */
const serve = (address: string, port: number, onQuery: (socket: Socket, message: Buffer, from: RemoteInfo) => void): Promise<number> =>
  new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.on('message', (message, from) => onQuery(socket, message, from));
    socket.bind(port, address, () => resolve(socket.address().port));
    held.defer(() => void socket.close());
  });
const reply =
  (code = 0) =>
  (socket: Socket, message: Buffer, from: RemoteInfo): void =>
    socket.send(answerTo(message, code), from.port, from.address);

/** Of a server that says nothing; the others have to answer in the same time. */
const silenceMs = 1000;

const open = async (servers: string[], upstreamPort: number, timeoutMs = 2000): Promise<Relay> => {
  writeFileSync(resolvConfPath, servers.map((server) => `nameserver ${server}\n`).join(''));
  const resolver = await Relay.open({
    address: '127.0.0.1',
    port: 0,
    upstreamPort,
    resolvConfPath,
    logger,
    timeoutMs,
    mayAsk: (address) => address === '127.0.0.1',
  });
  held.use(resolver);
  return resolver;
};

const ask = (port: number, message: Buffer, { localAddress = '127.0.0.1', waitMs = 10_000 } = {}): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const socket = createSocket('udp4');
    const timer = setTimeout(() => settle(undefined), waitMs);
    const settle = (answer: Buffer | undefined) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.once('message', settle);
    socket.bind(0, localAddress, () => socket.send(message, port, '127.0.0.1'));
  });

const until = async (isSo: () => boolean): Promise<void> => {
  for (const deadline = Date.now() + 10_000; !isSo(); await sleep(5)) assert.ok(Date.now() < deadline, 'waited too long');
};

test("an answer comes back under the asker's id; the server saw another id and a new port each time", async () => {
  const seen = new Set<string>();
  const port = await serve('127.0.0.1', 0, (socket, message, from) => {
    seen.add(`${message.readUInt16BE(0)} ${from.port}`);
    reply()(socket, message, from);
  });
  const resolver = await open(['127.0.0.1'], port);
  for (let id = 0; id < 10; id++) assert.deepEqual(await ask(resolver.port, query(id)), answerTo(query(id)));
  assert.equal(seen.size, 10);
});

test('the second server is asked when the first is silent, absent, or fails; with none left the answer is a failure', async () => {
  const port = await serve('127.0.0.11', 0, reply());
  await serve('127.0.0.12', port, () => {});
  await serve('127.0.0.13', port, reply(2));
  for (const first of ['127.0.0.12', '127.0.0.13', '127.0.0.14']) {
    const resolver = await open([first, '127.0.0.11'], port, silenceMs);
    assert.deepEqual(await ask(resolver.port, query(1)), answerTo(query(1)), first);
  }
  const resolver = await open(['127.0.0.12', '127.0.0.14'], port, silenceMs);
  assert.equal((await ask(resolver.port, query(1)))![3]! & 15, 2);
});

test('forged answers are passed over: wrong id, wrong question, wrong sender', async () => {
  const forger = createSocket('udp4');
  await new Promise<void>((resolve) => forger.bind(0, '127.0.0.1', resolve));
  held.defer(() => void forger.close());
  const port = await serve('127.0.0.1', 0, (socket, message, from) => {
    const wrongId = answerTo(message, 3);
    wrongId[0]! ^= 1;
    socket.send(wrongId, from.port, from.address);
    socket.send(answerTo(query(message.readUInt16BE(0), 'emam'), 3), from.port, from.address);
    forger.send(answerTo(message, 3), from.port, from.address);
    setTimeout(() => reply()(socket, message, from), 20);
  });
  const resolver = await open(['127.0.0.1'], port);
  assert.deepEqual(await ask(resolver.port, query(5)), answerTo(query(5)));
});

test('who may not ask hears nothing, and rubbish harms nobody', async () => {
  const port = await serve('127.0.0.1', 0, reply());
  const resolver = await open(['127.0.0.1'], port);
  const [stranger, rubbish] = await Promise.all([
    ask(resolver.port, query(1), { localAddress: '127.0.0.2', waitMs: 1500 }),
    ask(resolver.port, Buffer.from('rubbish'), { waitMs: 1500 }),
  ]);
  assert.deepEqual([stranger, rubbish], [undefined, undefined]);
  assert.equal((await ask(resolver.port, query(3).subarray(0, 15)))![3]! & 15, 1);
  assert.deepEqual(await ask(resolver.port, query(2)), answerTo(query(2)));
});

test('one machine has so many questions under way and no more', async () => {
  let asked = 0;
  const port = await serve('127.0.0.1', 0, () => void asked++);
  const resolver = await open(['127.0.0.1'], port);
  const most = relayLimits.questionsPerMachine;
  const socket = createSocket('udp4');
  held.defer(() => void socket.close());
  for (let id = 0; id < most * 2; id++) socket.send(query(id), resolver.port, '127.0.0.1');
  await until(() => resolver.status.dropped === most && asked === most);
  // A place is free again after the time is up.
  await until(() => resolver.status.failed === most);
  assert.equal((await ask(resolver.port, query(1)))![3]! & 15, 2);
  assert.equal(asked, most + 1);
});

test('a changed resolv.conf counts from the next second on', async () => {
  const port = await serve('127.0.0.11', 0, reply(3));
  await serve('127.0.0.12', port, reply());
  const resolver = await open(['127.0.0.11'], port);
  assert.equal((await ask(resolver.port, query(1)))![3]! & 15, 3);
  writeFileSync(resolvConfPath, 'nameserver 127.0.0.12\n');
  utimesSync(resolvConfPath, new Date(), new Date(Date.now() + 5000));
  await sleep(1100);
  assert.equal((await ask(resolver.port, query(1)))![3]! & 15, 0);
});

test('streams: several questions in one, each answered; too many streams are closed', async () => {
  const server = createServer((socket) => {
    const framer = new MessageFramer();
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => framer.push(chunk).forEach((message) => socket.write(frame(answerTo(message)))));
  });
  const port = await new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)));
  held.defer(() => void server.close());
  const resolver = await open(['127.0.0.1'], port);
  const socket = connect(resolver.port, '127.0.0.1');
  const framer = new MessageFramer();
  const answers: Buffer[] = [];
  socket.write(Buffer.concat([frame(query(1)), frame(query(2)).subarray(0, 5)]));
  setTimeout(() => socket.write(frame(query(2)).subarray(5)), 30);
  await new Promise<void>((resolve) =>
    socket.on('data', (chunk: Buffer) => {
      answers.push(...framer.push(chunk));
      if (answers.length === 2) resolve();
    }),
  );
  assert.deepEqual(answers, [answerTo(query(1)), answerTo(query(2))]);
  const more = Array.from({ length: relayLimits.streamsPerMachine }, () => connect(resolver.port, '127.0.0.1'));
  const closed = await Promise.race(more.map((one) => new Promise<boolean>((resolve) => one.on('error', () => {}).on('close', () => resolve(true)))));
  assert.ok(closed);
  for (const one of [socket, ...more]) one.destroy();
});
