/** Connections that leave HTTP behind (WebSocket): opening one, and passing one through without reading it. */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HttpClient } from './http.ts';

export interface Upgraded {
  response: IncomingMessage;
  socket: Duplex;
  /** Bytes that came right behind the answer. */
  head: Buffer;
}

/** Resolves with the raw connection, or with the plain answer of a peer that refused. */
export const upgrade = (
  client: HttpClient,
  path: string,
  headers: OutgoingHttpHeaders,
  signal?: AbortSignal,
): Promise<Upgraded | { response: IncomingMessage; socket: null }> =>
  new Promise((resolve, reject) => {
    // A connection of its own: it does not go back to where kept ones are.
    const outgoing = httpRequest({ createConnection: () => client.connect(), method: 'GET', path, headers, signal });
    outgoing.on('upgrade', (response, socket, head) => resolve({ response, socket, head }));
    outgoing.on('response', (response) => resolve({ response, socket: null }));
    outgoing.on('error', (error) => reject(client.failure(error, signal)));
    outgoing.end();
  });

/** Passes a client's Upgrade request on to `path` and joins the two connections; a refusal is passed back as it is. `signal` ends the wait for an answer. */
export const proxyUpgrade = async (
  client: HttpClient,
  path: string,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  signal: AbortSignal,
): Promise<void> => {
  const gone = new AbortController();
  const abort = () => gone.abort();
  socket.on('close', abort);
  // Whoever has gone while it was found out who calls does not say so again.
  if (socket.destroyed) abort();
  const headers = { ...request.headers, connection: 'Upgrade', upgrade: request.headers.upgrade, host: 'localhost' };
  const answer = await upgrade(client, path, headers, AbortSignal.any([gone.signal, signal]));
  socket.off('close', abort);
  socket.write(headOf(answer.response, answer.socket === null));
  if (answer.socket === null) {
    answer.response.on('error', () => socket.destroy());
    // The other side may keep its half open for ever.
    socket.once('finish', () => socket.destroy());
    answer.response.pipe(socket);
    return;
  }
  if (answer.head.length > 0) socket.write(answer.head);
  if (head.length > 0) answer.socket.write(head);
  join(socket, answer.socket);
};

const headOf = (response: IncomingMessage, closing: boolean): string => {
  const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`];
  for (let at = 0; at < response.rawHeaders.length; at += 2) {
    const name = response.rawHeaders[at]!;
    // The body is passed on without its chunks' framing and ends with the connection.
    if (closing && ['connection', 'keep-alive', 'transfer-encoding'].includes(name.toLowerCase())) continue;
    lines.push(`${name}: ${response.rawHeaders[at + 1]}`);
  }
  if (closing) lines.push('connection: close');
  return `${lines.join('\r\n')}\r\n\r\n`;
};

/** Bytes both ways, at the pace of the slower; each side ends with the other. */
const join = (one: Duplex, other: Duplex): void => {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    if (from.destroyed) to.destroy();
    from.pipe(to);
  }
};
