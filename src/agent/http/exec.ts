/** The exec WebSocket; its protocol is told in model/agent-api.ts. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import { Check, Errors } from 'typebox/schema';
import { CenoteError, asCenoteError, errorCodes } from '../../base/errors.ts';
import { ExecStart, execChannel } from '../../model/agent-api.ts';
import type { ExecExit, ExecResize } from '../../model/agent-api.ts';
import type { ExecSession } from '../../host/runtime/runtime.ts';
import { processOf } from '../machine/process.ts';
import type { Machine } from '../machine/machine.ts';
import type { AgentServerOptions } from './server.ts';

const path = /^\/v1\/machines\/([0-9a-f-]{36})\/exec(?:\?|$)/;
const firstMessageMs = 10_000;
const probeMs = 2000;
const maxMessageBytes = 1024 * 1024;
/** Output waits for the client beyond this much on its way. */
const highWaterBytes = 1024 * 1024;
/** Of a machine at once: each costs a process of the runtime's, which is the host's and not the machine's. */
const mostSessions = 64;

export const execRoute = ({ machines, host }: AgentServerOptions) => {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
  const sessions = new Map<string, number>();
  const count = (id: string, change: 1 | -1): void => {
    const now = (sessions.get(id) ?? 0) + change;
    if (now === 0) sessions.delete(id);
    else sessions.set(id, now);
  };
  return (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    try {
      const id = path.exec(request.url ?? '')?.[1];
      if (id === undefined) throw new CenoteError('not_found', 'there is nothing to upgrade to here');
      const machine = machines.get(id);
      if (machine.run === null)
        throw new CenoteError('wrong_state', `${machine.spec.name} is ${machine.state}, not running`, {
          advice: `start it with \`cenote start ${machine.spec.name}\``,
        });
      if ((sessions.get(id) ?? 0) >= mostSessions)
        throw new CenoteError('too_busy', `${machine.spec.name} has ${mostSessions} exec sessions, as many as may be at once`, {
          advice: 'end one of them',
          retryable: true,
        });
      server.handleUpgrade(request, socket, head, (client) => {
        count(id, 1);
        client.once('close', () => count(id, -1));
        serve(machine, client, (error) => host.logger.info({ machine: id, error: error.message }, 'exec failed'));
      });
    } catch (error) {
      refuse(socket, asCenoteError(error));
    }
  };
};

const refuse = (socket: Duplex, error: CenoteError) => {
  const body = JSON.stringify(error.toBody());
  socket.end(
    `HTTP/1.1 ${errorCodes[error.code].status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
};

const serve = (machine: Machine, client: WebSocket, onError: (error: Error) => void) => {
  const finish = (exit: ExecExit) => {
    send(client, execChannel.exit, Buffer.from(JSON.stringify(exit)));
    client.close();
  };
  const late = setTimeout(() => client.terminate(), firstMessageMs);
  const gone = new Promise<void>((resolve) => client.once('close', resolve));
  client.on('error', onError);
  client.once('message', (data) => {
    clearTimeout(late);
    // What comes while the process is being made waits at the client's; what has been read already waits here.
    const early: RawData[] = [];
    const keep = (message: RawData) => void early.push(message);
    client.on('message', keep);
    client.pause();
    const probe = probing(client);
    begin(machine, data)
      .finally(() => {
        clearInterval(probe);
        client.resume();
      })
      .then((session) => {
        client.off('message', keep);
        attach(client, session);
        // He may have gone while the process was being made.
        void gone.then(() => session.close());
        for (const message of early) client.emit('message', message, true);
        void session.exited.then(async (exit) => {
          await Promise.all([ended(session.stdout), session.stderr === null ? null : ended(session.stderr)]);
          finish(exit);
        });
      })
      .catch((error: unknown) => {
        const { message } = asCenoteError(error);
        finish({ code: 126, error: message });
      });
  });
  void gone.then(() => clearTimeout(late));
};

const begin = async (machine: Machine, data: RawData): Promise<ExecSession> => {
  let request: unknown;
  try {
    request = JSON.parse(Buffer.isBuffer(data) ? data.toString('utf8') : '');
  } catch {
    throw new CenoteError('invalid_argument', 'the first message must be JSON');
  }
  if (!Check(ExecStart, request))
    throw new CenoteError('invalid_argument', `the first message must say what to run: ${Errors(ExecStart, request)[1][0]?.message ?? ''}`);
  const { run } = machine;
  if (run === null) throw new CenoteError('wrong_state', `${machine.spec.name} is not running`);
  // By the machine as it is now: it may have been resized since its first process began.
  const base = processOf(machine.spec, `/proc/${run.process.pid}/root`, request.user);
  const extra = Object.entries(request.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const terminal = request.tty && request.env?.['TERM'] === undefined ? ['TERM=xterm'] : [];
  return machine.host.runtime.exec(machine.id, request, { ...base, env: [...base.env, ...terminal, ...extra], cwd: request.workingDirectory ?? base.cwd });
};

const attach = (client: WebSocket, session: ExecSession) => {
  for (const [stream, channel] of [
    [session.stdout, execChannel.stdout],
    [session.stderr, execChannel.stderr],
  ] as const) {
    stream?.on('data', (chunk: Buffer) => {
      send(client, channel, chunk, () => stream.resume());
      if (client.bufferedAmount > highWaterBytes) stream.pause();
    });
  }
  client.on('message', (data: Buffer) => {
    const [channel, rest] = [data[0], data.subarray(1)];
    if (channel === execChannel.stdin) {
      // What comes after the end is for nobody.
      if (session.stdin.writable && !session.stdin.write(rest)) {
        client.pause();
        const probe = probing(client);
        session.stdin.once('drain', () => {
          clearInterval(probe);
          client.resume();
        });
      }
    } else if (channel === execChannel.stdinEnd) session.stdin.end();
    else if (channel === execChannel.resize) resize(session, rest);
  });
};

/** One that is not read from is not seen to go, but by what cannot be sent to it; the control plane between passes that on. */
const probing = (client: WebSocket): NodeJS.Timeout => {
  const probe = setInterval(() => (client.readyState === client.CLOSED ? clearInterval(probe) : client.ping()), probeMs);
  return probe;
};

const resize = (session: ExecSession, data: Buffer) => {
  try {
    const { columns, rows } = JSON.parse(data.toString('utf8')) as ExecResize;
    if (Number.isInteger(columns) && Number.isInteger(rows) && columns > 0 && rows > 0 && columns < 65_536 && rows < 65_536) session.resize(columns, rows);
  } catch {
    // A window size that is no JSON changes nothing.
  }
};

const send = (client: WebSocket, channel: number, data: Buffer, sent: () => void = () => {}) => {
  if (client.readyState === client.OPEN) client.send(Buffer.concat([Buffer.of(channel), data]), { binary: true }, sent);
};

const ended = (stream: NodeJS.ReadableStream & { readableEnded?: boolean; destroyed?: boolean }) =>
  stream.readableEnded === true || stream.destroyed === true
    ? null
    : new Promise<void>((resolve) =>
        stream
          .once('end', resolve)
          .once('close', resolve)
          .once('error', () => resolve()),
      );
