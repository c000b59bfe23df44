/**
 * The machines' resolver: a relay on the gateway's port 53 to the resolvers that the host itself uses. It runs on the host, so
 * `nameserver 127.0.0.53` works for machines too. It caches nothing and decides nothing; what it does is to keep the number of
 * questions within bounds, for each machine and in all, and to let no answer through that was not asked for.
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket as DatagramSocket } from 'node:dgram';
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { isErrno } from '../../sys/libc.ts';
import { parseQuery, refusalOf, responseCodes } from '../../dns/query.ts';
import { MessageFramer, frame } from '../../dns/stream.ts';
import { readResolvConf } from './resolv-conf.ts';
import { askDatagram, askInTurn, askStream } from './upstream.ts';
import type { Upstream } from './upstream.ts';

export interface ResolverOptions {
  address: string;
  resolvConfPath: string;
  logger: Logger;
  /** Who may ask: the machines of this instance. */
  mayAsk: (address: string) => boolean;
  /** Ports other than 53, for tests. */
  port?: number | undefined;
  upstreamPort?: number | undefined;
  timeoutMs?: number | undefined;
}

export interface Resolver {
  /** The port it listens on: not the wanted one, when another program has that on all addresses. */
  port: number;
  close(): Promise<void>;
}

/** Questions waiting for an answer, and open streams; what comes on top is dropped, and asked again by the machine's library. */
export const resolverLimits = { questionsPerMachine: 64, questions: 1024, streamsPerMachine: 8, streams: 256 } as const;
const streamIdleMs = 10_000;
const resolvConfAgeMs = 1000;

export const openResolver = async (options: ResolverOptions): Promise<Resolver> => {
  const { address, port = 53, logger } = options;
  try {
    return await openRelay(options, port);
  } catch (error) {
    if (port === 0 || !isErrno(error, 'EADDRINUSE')) throw cannotListen(address, port, error);
    logger.info({ address, port }, 'a program of this host listens on all addresses; the resolver takes another port');
    return openRelay(options, 0).catch((cause: unknown) => Promise.reject(cannotListen(address, 0, cause)));
  }
};

const openRelay = async (options: ResolverOptions, port: number): Promise<Resolver> => {
  const relay = new Relay(options);
  try {
    return { port: await relay.open(port), close: () => relay.close() };
  } catch (error) {
    await relay.close();
    throw error;
  }
};

const cannotListen = (address: string, port: number, cause: unknown): CenoteError =>
  new CenoteError('failed', `the resolver for machines cannot listen on ${address} port ${port}`, { cause });

class Relay {
  readonly #options: ResolverOptions;
  readonly #datagrams: DatagramSocket = createSocket('udp4');
  readonly #server: Server = createServer({ allowHalfOpen: false });
  readonly #streams = new Set<Socket>();
  readonly #questions = new Tally(resolverLimits.questions, resolverLimits.questionsPerMachine);
  readonly #openStreams = new Tally(resolverLimits.streams, resolverLimits.streamsPerMachine);
  #upstreams: Upstream[] = [];
  #port = 0;
  #readAt = -Infinity;
  #readMtime = -1;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  async open(port: number): Promise<number> {
    const { address, logger } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#datagrams.once('error', reject);
      this.#datagrams.bind({ address, port, exclusive: true }, resolve);
    });
    this.#port = this.#datagrams.address().port;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address, port: this.#port, exclusive: true }, resolve);
    });
    for (const part of [this.#datagrams, this.#server]) part.removeAllListeners('error').on('error', (error) => logger.warn({ err: error }, 'resolver'));
    this.#datagrams.on('message', (message, from) => void this.#onDatagram(message, from));
    this.#server.on('connection', (stream) => this.#onStream(stream));
    return this.#port;
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    await new Promise<void>((resolve) => closeQuietly(() => this.#datagrams.close(() => resolve()), resolve));
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #onDatagram(message: Buffer, from: RemoteInfo): Promise<void> {
    if (!this.#options.mayAsk(from.address)) return;
    const answer = await this.#answer(message, from.address, askDatagram);
    if (answer !== undefined)
      closeQuietly(
        () => this.#datagrams.send(answer, from.port, from.address, () => {}),
        () => {},
      );
  }

  #onStream(stream: Socket): void {
    const machine = stream.remoteAddress ?? '';
    if (!this.#options.mayAsk(machine) || !this.#openStreams.enter(machine)) return void stream.destroy();
    this.#streams.add(stream);
    const framer = new MessageFramer();
    stream.setTimeout(streamIdleMs, () => stream.destroy());
    stream.on('error', () => stream.destroy());
    stream.on('close', () => {
      this.#streams.delete(stream);
      this.#openStreams.leave(machine);
    });
    // One chunk at a time: whoever sends faster than answers come is held back by its own connection.
    stream.on('data', (chunk: Buffer) => {
      stream.pause();
      void this.#answerStream(stream, machine, framer.push(chunk)).finally(() => stream.resume());
    });
  }

  async #answerStream(stream: Socket, machine: string, messages: Buffer[]): Promise<void> {
    for (const message of messages) {
      if (stream.destroyed) return;
      const answer = await this.#answer(message, machine, askStream);
      if (answer === undefined) return void stream.destroy();
      if (stream.writable) stream.write(frame(answer));
    }
  }

  async #answer(message: Buffer, machine: string, ask: typeof askDatagram): Promise<Buffer | undefined> {
    const query = parseQuery(message);
    if (query === undefined) return undefined;
    if ('refusal' in query) return refusalOf(message, query.refusal, true);
    if (!this.#questions.enter(machine)) return undefined;
    try {
      return await askInTurn(ask, this.#currentUpstreams(), query, this.#options.timeoutMs ?? 2000);
    } catch {
      return refusalOf(message, responseCodes.serverFailure, true);
    } finally {
      this.#questions.leave(machine);
    }
  }

  /** Looks at the file at most once a second, and reads it when it has changed. */
  #currentUpstreams(): Upstream[] {
    const { address, resolvConfPath, upstreamPort = 53 } = this.#options;
    const now = performance.now();
    if (now - this.#readAt < resolvConfAgeMs) return this.#upstreams;
    this.#readAt = now;
    const mtime = statSync(resolvConfPath, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (mtime === this.#readMtime) return this.#upstreams;
    this.#readMtime = mtime;
    // The relay as its own server would ask itself for ever.
    this.#upstreams = readResolvConf(resolvConfPath)
      .servers.filter((server) => server !== address || upstreamPort !== this.#port)
      .map((server) => ({ address: server, port: upstreamPort }));
    return this.#upstreams;
  }
}

/** Counts what is under way, for each and in all. */
class Tally {
  readonly #limit: number;
  readonly #limitEach: number;
  readonly #each = new Map<string, number>();
  #all = 0;

  constructor(limit: number, limitEach: number) {
    this.#limit = limit;
    this.#limitEach = limitEach;
  }

  enter(who: string): boolean {
    const count = this.#each.get(who) ?? 0;
    if (this.#all >= this.#limit || count >= this.#limitEach) return false;
    this.#all++;
    this.#each.set(who, count + 1);
    return true;
  }

  leave(who: string): void {
    const count = this.#each.get(who) ?? 0;
    if (count === 0) return;
    this.#all--;
    if (count === 1) this.#each.delete(who);
    else this.#each.set(who, count - 1);
  }
}

/** A socket that is closed already has nothing to be closed or sent. */
const closeQuietly = (action: () => void, otherwise: () => void): void => {
  try {
    action();
  } catch {
    otherwise();
  }
};
