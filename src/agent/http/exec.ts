/** The exec WebSocket; its protocol is told in model/agent-api.ts. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import { Check, Errors } from 'typebox/schema';
import { answerInstead } from '../../base/answer-upgrade.ts';
import { isErrno } from '../../base/errno.ts';
import { CenoteError, asCenoteError, errorCodes, messageChain } from '../../base/errors.ts';
import { within } from '../../base/within.ts';
import { ExecStart, execChannel } from '../../model/agent-api.ts';
import type { ExecExit, ExecResize } from '../../model/agent-api.ts';
import type { ExecProcess, ExecSession } from '../../host/runtime/runtime.ts';
import { processOf } from '../machine/process.ts';
import type { Machine } from '../machine/machine.ts';
import type { Run } from '../machine/run.ts';
import type { AgentServerOptions } from './server.ts';

const path = /^\/v1\/machines\/([0-9a-f-]{36})\/exec(?:\?|$)/;
const firstMessageMs = 10_000;
const probeMs = 2000;
const maxMessageBytes = 1024 * 1024;
/** Output waits for the client beyond this much on its way. */
const highWaterBytes = 1024 * 1024;
/** Of a machine at once: each costs a process of the runtime's, which is the host's and not the machine's. */
const mostSessions = 64;
const lastSessionsMs = 5000;

export interface ExecRoute extends AsyncDisposable {
  upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export const execRoute = ({ machines, host }: AgentServerOptions): ExecRoute => {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
  const sessions = new Map<string, Set<Promise<void>>>();
  const hold = (id: string, session: Promise<void>): void => {
    const others = sessions.get(id) ?? new Set();
    sessions.set(id, others.add(session));
    void session.finally(() => {
      others.delete(session);
      if (others.size === 0) sessions.delete(id);
    });
  };
  let isStopping = false;
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // From here on nobody else listens, and who is refused may have gone.
    socket.on('error', () => socket.destroy());
    try {
      const id = path.exec(request.url ?? '')?.[1];
      if (id === undefined) throw new CenoteError('not_found', 'there is nothing to upgrade to here');
      if (isStopping) throw new CenoteError('unavailable', 'the agent is about to end');
      const machine = machines.get(id);
      if (machine.run === null)
        throw new CenoteError('wrong_state', `${machine.spec.name} is ${machine.state}, not running`, {
          advice: `start it with \`cenote start ${machine.spec.name}\``,
        });
      if ((sessions.get(id)?.size ?? 0) >= mostSessions)
        throw new CenoteError('too_busy', `${machine.spec.name} has ${mostSessions} exec sessions, as many as may be at once`, {
          advice: 'end one of them',
          retryable: true,
        });
      server.handleUpgrade(request, socket, head, (client) => {
        client.on('error', (error) => host.logger.info({ machine: id, error: error.message }, 'exec failed'));
        hold(
          id,
          serve(machine, client).catch((error: unknown) =>
            host.logger.error({ machine: id, error: messageChain(error) }, 'an exec session could not be ended'),
          ),
        );
      });
    } catch (error) {
      const known = asCenoteError(error);
      answerInstead(socket, errorCodes[known.code].status, known.toBody());
    }
  };
  return {
    upgrade,
    // Nobody would be there for what goes on. What takes longer to end is left to the next agent.
    [Symbol.asyncDispose]: async () => {
      isStopping = true;
      for (const client of server.clients) client.terminate();
      await within(Promise.allSettled([...sessions.values()].flatMap((some) => [...some])), lastSessionsMs);
    },
  };
};

/** Resolves when the client has gone, and the process with it. */
const serve = async (machine: Machine, client: WebSocket): Promise<void> => {
  const gone = new Promise<void>((resolve) => client.once('close', resolve));
  const late = setTimeout(() => client.terminate(), firstMessageMs);
  let session: Promise<ExecSession | null> = Promise.resolve(null);
  client.once('message', (data) => {
    clearTimeout(late);
    session = converse(machine, client, data);
  });
  await gone;
  clearTimeout(late);
  // He may have gone while the process was being made.
  await (await session)?.close();
};

/** What the first message asks for, with the client at its ends; null when that cannot be, which the client is told. */
const converse = async (machine: Machine, client: WebSocket, first: RawData): Promise<ExecSession | null> => {
  // What comes while the process is being made waits at the client's; what has been read already waits here.
  const early: RawData[] = [];
  const keep = (message: RawData) => void early.push(message);
  client.on('message', keep);
  client.pause();
  const probe = probing(client);
  try {
    const session = await begin(machine, first).finally(() => {
      clearInterval(probe);
      client.resume();
    });
    client.off('message', keep);
    attach(client, session);
    for (const message of early) client.emit('message', message, true);
    void session.exited.then(async (exit) => {
      await Promise.all([ended(session.stdout), session.stderr === null ? null : ended(session.stderr)]);
      finish(client, exit);
    });
    return session;
  } catch (error) {
    finish(client, { code: 126, error: asCenoteError(error).message });
    return null;
  }
};

const finish = (client: WebSocket, exit: ExecExit): void => {
  send(client, execChannel.exit, Buffer.from(JSON.stringify(exit)));
  client.close();
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
  const base = processIn(machine, run, request.user);
  const extra = Object.entries(request.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const terminal = request.tty && request.env?.['TERM'] === undefined ? ['TERM=xterm'] : [];
  return machine.host.runtime.exec(machine.id, request, { ...base, env: [...base.env, ...terminal, ...extra], cwd: request.workingDirectory ?? base.cwd });
};

const processIn = (machine: Machine, { process }: Run, user?: string): ExecProcess => {
  try {
    return processOf(machine.spec, `/proc/${process.pid}/root`, user);
  } catch (error) {
    // What follows from its end waits for its turn.
    if (isErrno(error, 'ENOENT', 'ESRCH')) throw new CenoteError('wrong_state', `${machine.spec.name} has just ended`, { cause: error });
    throw error;
  }
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
  // What has been read already comes all the same, in as many messages as it holds.
  let isFull = false;
  client.on('message', (data: Buffer) => {
    const [channel, rest] = [data[0], data.subarray(1)];
    if (channel === execChannel.stdin) {
      // What comes after the end is for nobody.
      if (session.stdin.writable && !session.stdin.write(rest) && !isFull) {
        isFull = true;
        client.pause();
        const probe = probing(client);
        // One that ends without having read all closes its input, and never drains it.
        const goOn = (): void => {
          isFull = false;
          clearInterval(probe);
          client.resume();
          session.stdin.off('drain', goOn).off('close', goOn);
        };
        session.stdin.on('drain', goOn).on('close', goOn);
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
