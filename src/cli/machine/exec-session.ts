/** One exec over its WebSocket (model/agent-api.ts, ExecStart): bytes in and out, and how it ended. */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { CenoteError } from '../../base/errors.ts';
import type { HttpClient } from '../../client/http.ts';
import type { ExecExit, ExecResize, ExecStart } from '../../model/agent-api.ts';

// As execChannel in model/agent-api.ts, whose import would bring the schemas along; a test holds them equal.
export const channels = { stdin: 0, stdinEnd: 1, resize: 2, stdout: 3, stderr: 4, exit: 5 } as const;

/** Above this, reading of our standard input waits until the socket has sent. */
const sendBufferBytes = 1024 * 1024;

export interface ExecHandlers {
  onOutput(to: 'stdout' | 'stderr', bytes: Buffer): void;
}

export interface ExecSession extends Disposable {
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  endInput(): void;
  resize(size: ExecResize): void;
  /** Stops and goes on with receiving, when our own output is slower than the machine's. */
  pause(): void;
  resume(): void;
  readonly exit: Promise<ExecExit>;
}

const framed = (channel: number, bytes: Uint8Array): Buffer => {
  const frame = Buffer.allocUnsafe(bytes.length + 1);
  frame[0] = channel;
  frame.set(bytes, 1);
  return frame;
};

export const openExec = async (client: HttpClient, machineId: string, start: ExecStart, handlers: ExecHandlers, signal: AbortSignal): Promise<ExecSession> => {
  const path = `/v1/machines/${encodeURIComponent(machineId)}/exec`;
  const headers = (await client.proof('GET', path)) as Record<string, string>;
  // An SSH agent may have asked a person, who may have changed his mind.
  if (signal.aborted) throw client.failure(signal.reason, signal);
  // Whatever the address says, the connection is the client's, which may be TLS.
  const socket = new WebSocket(`ws://${client.host}${path}`, {
    createConnection: () => client.connect() as Socket,
    headers,
    perMessageDeflate: false,
    maxPayload: 16 * 1024 * 1024,
  });
  const exit = Promise.withResolvers<ExecExit>();
  // Whoever waits for the opening is told of its failure there; this one need not be heard then.
  exit.promise.catch(() => undefined);
  socket.on('message', (data: Buffer) => {
    const payload = data.subarray(1);
    if (data[0] === channels.stdout) handlers.onOutput('stdout', payload);
    else if (data[0] === channels.stderr) handlers.onOutput('stderr', payload);
    else if (data[0] === channels.exit) exit.resolve(JSON.parse(payload.toString('utf8')) as ExecExit);
  });
  socket.on('close', (code, reason) => {
    const why = reason.length > 0 ? `: ${reason.toString('utf8')}` : code === 1006 ? '' : ` (${code})`;
    exit.reject(new CenoteError('unavailable', `the connection ended before the command did${why}`, { advice: 'the command was ended with it' }));
  });
  const abort = (): void => socket.terminate();
  signal.addEventListener('abort', abort, { once: true });
  await opened(socket, client);
  // Errors after the opening end in `close`.
  socket.on('error', () => undefined);
  socket.send(JSON.stringify(start));
  return {
    exit: exit.promise,
    write: (bytes) =>
      new Promise((resolve) => {
        socket.send(framed(channels.stdin, bytes), () => (socket.bufferedAmount > sendBufferBytes ? setTimeout(resolve, 5) : resolve()));
      }),
    endInput: () => socket.send(Buffer.from([channels.stdinEnd])),
    resize: (size) => socket.send(framed(channels.resize, Buffer.from(JSON.stringify(size)))),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', abort);
      socket.close();
      // A peer that does not answer the close must not keep us.
      setTimeout(() => socket.terminate(), 500).unref();
    },
  };
};

/** Resolves when the socket is open; a refusal becomes the error it was on the other side. */
const opened = (socket: WebSocket, client: HttpClient): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('open', resolve);
  socket.once('error', (error) => reject(client.failure(error)));
  socket.once('unexpected-response', (_request, response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      reject(client.refusal(Buffer.concat(chunks).toString('utf8'), response));
      socket.terminate();
    });
  });
  return promise;
};
