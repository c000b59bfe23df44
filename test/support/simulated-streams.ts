/** The simulated agent's streams: logs, files of any size, uploads that are counted, exec that echoes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import { jsonLine } from '../../src/base/json-lines.ts';
import { execChannel } from '../../src/model/agent-api.ts';

export interface StreamCounters {
  /** Bytes of files handed to the connection. */
  written: number;
  /** Streams cut short by the caller. */
  cancelled: number;
}

export const sendLogs = (counters: StreamCounters, url: URL, response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  for (let line = 0; line < Number(url.searchParams.get('tail') ?? 3); line += 1) {
    response.write(jsonLine({ at: new Date(0).toISOString(), stream: 'stdout', text: `line ${line}` }));
  }
  if (url.searchParams.get('follow') !== 'true') response.end();
  else response.on('close', () => (counters.cancelled += 1));
};

/** `/bytes/N` is N bytes, written at the reader's pace; `/broken` ends half way. */
export const sendFile = (counters: StreamCounters, url: URL, response: ServerResponse): void => {
  const path = url.searchParams.get('path')!;
  response.writeHead(200, { 'content-type': 'application/x-tar' });
  if (path === '/broken') {
    response.write('half');
    setTimeout(() => response.destroy(), 20);
    return;
  }
  let left = Number(/^\/bytes\/(\d+)$/.exec(path)?.[1] ?? 1024);
  const chunk = Buffer.alloc(65_536, 'x');
  const more = (): void => {
    while (left > 0) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      counters.written += part.length;
      if (!response.write(part)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  response.on('close', () => {
    if (left > 0) counters.cancelled += 1;
  });
  more();
};

/** Standard input comes back as standard output; its end ends the process with code 7. */
export const echo = (counters: StreamCounters, session: WebSocket): void => {
  session.on('close', () => (counters.cancelled += 1));
  session.on('message', (data, isBinary) => {
    if (!isBinary) return;
    const bytes = data as Buffer;
    if (bytes[0] === execChannel.stdin) session.send(Buffer.concat([Buffer.of(execChannel.stdout), bytes.subarray(1)]));
    if (bytes[0] === execChannel.stdinEnd) {
      session.send(Buffer.concat([Buffer.of(execChannel.exit), Buffer.from('{"code":7}')]));
      session.close();
    }
  });
};

export const textOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

export const sizeOf = async (request: IncomingMessage, onCancelled: () => void): Promise<number> => {
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) size += chunk.length;
  } catch (error) {
    onCancelled();
    throw error;
  }
  return size;
};

/** What is asked for, where the body is a stream. */
export const requestOf = <Request>(url: URL): Request => JSON.parse(url.searchParams.get('request')!) as Request;
