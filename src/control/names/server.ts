/**
 * The datacenter's own DNS server: it answers for its zones and for nothing else, looks nothing up elsewhere, and gives whole zones to
 * secondaries alone. Whoever asks is a stranger.
 */
import type { Logger } from '../../base/logger.ts';
import { answerEmpty, answerFrom, datagramLimit } from '../../dns/answer.ts';
import { Listener } from '../../dns/listener.ts';
import type { Answer } from '../../dns/listener.ts';
import { flags, internetClass, parseQuery, refusalOf, responseCodes } from '../../dns/query.ts';
import type { Query } from '../../dns/query.ts';
import { questionTypes, typeCodes } from '../../dns/record.ts';
import { ResponseRate } from '../../dns/response-rate.ts';
import { transferOf } from '../../dns/transfer.ts';
import { longestMessage, MessageWriter } from '../../dns/writer.ts';
import type { Zones } from '../../dns/zone.ts';

/** Since the start. `malformed`: dropped, being no questions at all; `limited`: not sent, or cut short, since too many were asked from one place. */
export interface DnsCounters {
  answered: number;
  refused: number;
  malformed: number;
  limited: number;
  transfers: number;
}

export interface DnsServerOptions {
  zones: Zones;
  address: string;
  port: number;
  logger: Logger;
  mayTransfer: (address: string) => boolean;
  rate?: { perSecond: number; burstSeconds: number };
}

/** More than any resolver asks of one datacenter; amplified by four, as the longest answer is, it harms nobody. */
const defaultRate = { perSecond: 500, burstSeconds: 5 };
const limits = { streams: 256, streamsPerPeer: 16 };

export class DnsServer implements AsyncDisposable {
  readonly counters: DnsCounters = { answered: 0, refused: 0, malformed: 0, limited: 0, transfers: 0 };
  readonly #options: DnsServerOptions;
  readonly #writer = new MessageWriter();
  readonly #rate: ResponseRate;
  #listener: Listener | undefined;

  private constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#rate = new ResponseRate(options.rate ?? defaultRate);
  }

  static async open(options: DnsServerOptions): Promise<DnsServer> {
    const server = new DnsServer(options);
    const { address, port, logger, mayTransfer } = options;
    server.#listener = await Listener.open({
      address,
      port,
      limits,
      answerDatagram: (message, from) => server.#datagram(message, from),
      answerStream: (message, from) => server.#stream(message, from),
      isFamiliar: mayTransfer,
      onError: (error) => logger.warn({ err: error }, 'dns'),
    });
    return server;
  }

  get port(): number {
    return this.#listener!.port;
  }

  #datagram(message: Buffer, from: string): Answer {
    const verdict = this.#rate.take(from, performance.now());
    if (verdict !== 'send') this.counters.limited += 1;
    if (verdict === 'drop') return undefined;
    const query = this.#understood(message);
    if (query === undefined || Buffer.isBuffer(query)) return query;
    if (verdict === 'truncate') return answerEmpty(this.#writer, query, responseCodes.none, flags.truncated);
    return this.#answer(query, datagramLimit(query));
  }

  #stream(message: Buffer, from: string): Answer {
    const query = this.#understood(message);
    if (query === undefined || Buffer.isBuffer(query)) return query;
    if (query.type === questionTypes.AXFR || query.type === questionTypes.IXFR) return this.#transfer(query, from);
    return this.#answer(query, longestMessage);
  }

  /** What has an error is answered with it. */
  #understood(message: Buffer): Query | Buffer | undefined {
    const query = parseQuery(message);
    if (query === undefined) {
      this.counters.malformed += 1;
      return undefined;
    }
    if ('refusal' in query) {
      this.counters.refused += 1;
      return refusalOf(message, query.refusal, false);
    }
    if (query.edns !== null && query.edns.version !== 0) return this.#refuse(query, responseCodes.badVersion);
    return query;
  }

  #answer(query: Query, limit: number): Buffer {
    const zone = query.class === internetClass ? this.#options.zones.of(query.name) : undefined;
    if (zone === undefined || query.type === questionTypes.AXFR) return this.#refuse(query, responseCodes.refused);
    this.counters.answered += 1;
    // Whoever wants what is new of a zone looks at its version, and takes the whole over TCP.
    return answerFrom(this.#writer, zone, query.type === questionTypes.IXFR ? { ...query, type: typeCodes.SOA } : query, limit);
  }

  #transfer(query: Query, from: string): Answer {
    const zone = this.#options.zones.get(query.name);
    if (zone === undefined || query.class !== internetClass || !this.#options.mayTransfer(from)) return this.#refuse(query, responseCodes.refused);
    this.counters.transfers += 1;
    return transferOf(this.#writer, zone, query);
  }

  #refuse(query: Query, code: number): Buffer {
    this.counters.refused += 1;
    return answerEmpty(this.#writer, query, code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]();
  }
}
