/** Those who ask for an Upgrade and do not get it. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * A plain answer, and the end of the connection. HTTP's own time limits do not know of it any more, and the other side may keep its half
 * open for ever.
 */
export const answerInstead = (socket: Duplex, status: number, body: unknown, headers: Readonly<Record<string, string | number>> = {}): void => {
  if (!socket.writable) return;
  const text = JSON.stringify(body);
  const all = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), connection: 'close', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${lines.join('')}\r\n${text}`);
};
