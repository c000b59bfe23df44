/**
 * Asking the host's resolvers, one query at a time: a socket of its own for each query (so the kernel picks a random port and
 * lets only that server's packets in), and a random id. A forged answer has to guess both, and repeat the question.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { isAnswer, withId } from '../dns/query.ts';
import type { Query } from '../dns/query.ts';
import { MessageFramer, frame } from '../dns/stream.ts';

export interface Upstream {
  address: string;
  port: number;
}

type Ask = (upstream: Upstream, query: Query, timeoutMs: number) => Promise<Buffer>;

/** The first good answer, under the query's own id; rejects when no server gave one. */
export const askInTurn = async (ask: Ask, upstreams: readonly Upstream[], query: Query, timeoutMs: number): Promise<Buffer> => {
  let lastAnswer: Buffer | undefined;
  for (const upstream of upstreams) {
    try {
      lastAnswer = await ask(upstream, query, timeoutMs);
      // A server that failed or refuses us says nothing about what the next one knows.
      if (![2, 5].includes(lastAnswer[3]! & 0x0f)) break;
    } catch {
      // The next server is asked; when there is none, the machine is told below.
    }
  }
  if (lastAnswer === undefined) throw new Error('no resolver answered');
  return withId(lastAnswer, query.id);
};

export const askDatagram: Ask = (upstream, query, timeoutMs) =>
  new Promise((resolve, reject) => {
    const id = randomInt(65_536);
    const socket = createSocket(isIPv6(upstream.address.replace(/%.*$/, '')) ? 'udp6' : 'udp4');
    const settle = (action: () => void) => {
      clearTimeout(timer);
      socket.removeAllListeners('message');
      socket.close();
      action();
    };
    let settled = false;
    const once = (action: () => void) => {
      if (settled) return;
      settled = true;
      settle(action);
    };
    const timer = setTimeout(() => once(() => reject(new Error('timeout'))), timeoutMs);
    socket.on('error', (error) => once(() => reject(error)));
    socket.on('message', (message) => {
      if (isAnswer(message, id, query)) once(() => resolve(message));
    });
    socket.connect(upstream.port, upstream.address, (error?: Error) => {
      if (error !== undefined && error !== null) once(() => reject(error));
      else if (!settled) socket.send(withId(query.message, id));
    });
  });

export const askStream: Ask = (upstream, query, timeoutMs) =>
  new Promise((resolve, reject) => {
    const id = randomInt(65_536);
    const socket = connect({ port: upstream.port, host: upstream.address });
    const framer = new MessageFramer();
    const timer = setTimeout(() => socket.destroy(new Error('timeout')), timeoutMs);
    socket.on('connect', () => socket.write(frame(withId(query.message, id))));
    socket.on('data', (chunk: Buffer) => {
      for (const message of framer.push(chunk)) {
        if (!isAnswer(message, id, query)) continue;
        resolve(message);
        socket.destroy();
      }
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error('closed without an answer'));
    });
  });
