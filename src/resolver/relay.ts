/**
 * Answers machines: of their own account's names by itself, of everything else by asking the resolvers that the host itself uses (so
 * `nameserver 127.0.0.53` works for machines too). It caches nothing. It keeps the number of questions within bounds, for each machine and in
 * all, and lets no answer through that was not asked for.
 */
import { statSync } from 'node:fs';
import type { Logger } from '../base/logger.ts';
import { datagramLimit } from '../dns/answer.ts';
import { Listener } from '../dns/listener.ts';
import type { Answer } from '../dns/listener.ts';
import { parseQuery, refusalOf, responseCodes } from '../dns/query.ts';
import type { Query } from '../dns/query.ts';
import { readResolvConf } from '../dns/resolv-conf.ts';
import { Tally } from '../dns/tally.ts';
import { longestMessage } from '../dns/writer.ts';
import type { ResolverStatus } from '../model/names-api.ts';
import { askDatagram, askInTurn, askStream } from './upstream.ts';
import type { Upstream } from './upstream.ts';

export interface RelayOptions {
  address: string;
  /** 0 is any that is free. */
  port: number;
  resolvConfPath: string;
  logger: Logger;
  /** Who may ask: the machines of this instance. */
  mayAsk: (address: string) => boolean;
  /** The answer that needs nobody else; undefined: others are asked. */
  answerOwn?: ((query: Query, from: string, limit: number) => Buffer | undefined) | undefined;
  /** For tests. */
  upstreamPort?: number | undefined;
  timeoutMs?: number | undefined;
}

/** Questions that others are asked, and open streams; what comes on top is dropped, and asked again by the machine's library. */
export const relayLimits = { questionsPerMachine: 64, questions: 1024, streamsPerMachine: 8, streams: 256 } as const;
const resolvConfAgeMs = 1000;

export class Relay implements AsyncDisposable {
  readonly #counters = { own: 0, forwarded: 0, failed: 0, dropped: 0, malformed: 0, strangers: 0 };
  readonly #options: RelayOptions;
  readonly #questions = new Tally(relayLimits.questions, relayLimits.questionsPerMachine);
  /** The first says which port it is. */
  readonly #listeners: Listener[] = [];
  #upstreams: Upstream[] = [];
  #readAt = -Infinity;
  #readMtime = -1;

  private constructor(options: RelayOptions) {
    this.#options = options;
  }

  static async open(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    await relay.#open(options.address, options.port);
    return relay;
  }

  /** At one more address, and the same port. */
  async listen(address: string): Promise<void> {
    await this.#open(address, this.port);
  }

  async #open(address: string, port: number): Promise<void> {
    const { logger } = this.#options;
    const listener = await Listener.open({
      address,
      port,
      limits: { streams: relayLimits.streams, streamsPerPeer: relayLimits.streamsPerMachine },
      mayConnect: (from) => this.#mayAsk(from),
      answerDatagram: (message, from) => (this.#mayAsk(from) ? this.#answer(message, from, askDatagram) : undefined),
      answerStream: (message, from) => this.#answer(message, from, askStream),
      onError: (error) => logger.warn({ err: error }, 'resolver'),
    });
    this.#listeners.push(listener);
  }

  get port(): number {
    return this.#listeners[0]!.port;
  }

  get status(): ResolverStatus {
    return { port: this.port, ...this.#counters };
  }

  #mayAsk(from: string): boolean {
    if (this.#options.mayAsk(from)) return true;
    this.#counters.strangers += 1;
    return false;
  }

  #answer(message: Buffer, from: string, ask: typeof askDatagram): Answer | Promise<Answer> {
    const query = parseQuery(message);
    if (query === undefined) {
      this.#counters.malformed += 1;
      return undefined;
    }
    if ('refusal' in query) return refusalOf(message, query.refusal, true);
    const own = this.#options.answerOwn?.(query, from, ask === askStream ? longestMessage : datagramLimit(query));
    if (own === undefined) return this.#forward(query, from, ask);
    this.#counters.own += 1;
    return own;
  }

  async #forward(query: Query, from: string, ask: typeof askDatagram): Promise<Answer> {
    if (!this.#questions.enter(from)) {
      this.#counters.dropped += 1;
      return undefined;
    }
    this.#counters.forwarded += 1;
    try {
      return await askInTurn(ask, this.#currentUpstreams(), query, this.#options.timeoutMs ?? 2000);
    } catch {
      this.#counters.failed += 1;
      return refusalOf(query.message, responseCodes.serverFailure, true);
    } finally {
      this.#questions.leave(from);
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
      .servers.filter((server) => server !== address || upstreamPort !== this.port)
      .map((server) => ({ address: server, port: upstreamPort }));
    return this.#upstreams;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener[Symbol.asyncDispose]()));
  }
}
