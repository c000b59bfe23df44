/**
 * HTTP over a unix socket, or to a control plane elsewhere: JSON, streamed bodies both ways, NDJSON. An error answer becomes the CenoteError it was on the
 * other side; a peer that cannot be reached becomes `unavailable`, which callers may retry.
 */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, errorCodes } from '../base/errors.ts';
import type { ErrorBody } from '../base/errors.ts';
import { jsonLines } from '../base/json-lines.ts';
import type { Remote } from './remote.ts';

// Not an `import`: the ES module of node:http also loads the WebSocket and fetch it re-exports, which cost every command 25 ms.
const { Agent, request: httpRequest } = process.getBuiltinModule('node:http');

export interface HttpClientOptions {
  /** Path of a unix socket; or elsewhere. */
  place: string | Remote;
  /** Who is at the other end, for messages: `the agent`. */
  peer: string;
  advice?: string | undefined;
}

export type Query = Record<string, string | number | boolean | undefined>;

export interface HttpRequest {
  query?: Query | undefined;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it comes, with back-pressure; not together with `json`. */
  stream?: Readable | undefined;
  headers?: OutgoingHttpHeaders | undefined;
  signal?: AbortSignal | undefined;
  /** How long the answer may take to begin, and each of its lines where it is read by lines; without it there is no end. */
  timeoutMs?: number | undefined;
}

const unreachable = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'ENOTSOCK', 'EAGAIN']);
const unreachableElsewhere = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EADDRNOTAVAIL']);
const forbiddenAdvice = 'be root or a member of the group cenote (usermod -aG cenote NAME, then log in again)';
const mostQueueRetries = 50;
const queueDelayMs = 5;
const largestErrorBody = 64 * 1024;

export const pathOf = (path: string, query: Query = {}): string => {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.append(name, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
};

export class HttpClient implements Disposable {
  readonly #options: HttpClientOptions;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 256, scheduling: 'lifo' });

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  /** What it speaks to, for messages. */
  get shown(): string {
    const { place } = this.#options;
    return typeof place === 'string' ? place : place.url.origin;
  }

  get host(): string {
    const { place } = this.#options;
    return typeof place === 'string' ? 'localhost' : place.url.host;
  }

  /** A connection of its own, for what leaves HTTP behind. */
  connect(): Duplex {
    const { place } = this.#options;
    return typeof place === 'string' ? process.getBuiltinModule('node:net').connect(place) : place.connect();
  }

  /** What proves who asks, where the socket does not. */
  async proof(method: string, path: string): Promise<OutgoingHttpHeaders> {
    const { place } = this.#options;
    return typeof place === 'string' ? {} : place.sign(method, path);
  }

  /** The parsed body of a 2xx answer; undefined for 204. */
  async json<T>(method: string, path: string, options: HttpRequest = {}): Promise<T> {
    const response = await this.stream(method, path, options);
    const text = await readAll(response, Number.POSITIVE_INFINITY);
    if (text === '') return undefined as T;
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new CenoteError('internal', `${this.#options.peer} answered with something that is not JSON`, { cause: error, context: { method, path } });
    }
  }

  /** A 2xx answer as a stream, not yet read; the caller reads it to its end or destroys it. */
  async stream(method: string, path: string, options: HttpRequest = {}): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      response = await this.send(method, path, options);
    } catch (error) {
      if (!staleSocket(error) || method !== 'GET') throw error;
      response = await this.send(method, path, options);
    }
    if (response.statusCode! >= 200 && response.statusCode! < 300) return response;
    throw await this.#errorOf(response);
  }

  /** One line of JSON at a time; ends with the stream, and leaving the loop closes it. */
  async *ndjson<T>(method: string, path: string, options: HttpRequest = {}): AsyncGenerator<T[]> {
    const response = await this.stream(method, path, options);
    const { timeoutMs } = options;
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => response.destroy(this.#late(method, path)), timeoutMs);
    try {
      for await (const values of jsonLines<T>(response)) {
        timer?.refresh();
        yield values;
      }
    } catch (error) {
      throw this.failure(error, options.signal);
    } finally {
      clearTimeout(timer);
      response.destroy();
    }
  }

  /** Any answer, whatever its status. A peer whose queue of callers is full has seen nothing of the request, so it is sent again. */
  async send(method: string, path: string, options: HttpRequest = {}): Promise<IncomingMessage> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#sendOnce(method, path, options);
      } catch (error) {
        if (!queueFull(error) || attempt === mostQueueRetries || options.signal?.aborted) throw error;
        await sleep(queueDelayMs * (attempt + 1));
      }
    }
  }

  async #sendOnce(method: string, path: string, options: HttpRequest = {}): Promise<IncomingMessage> {
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const body = options.json === undefined ? undefined : JSON.stringify(options.json);
    const { place } = this.#options;
    const target = pathOf(path, options.query);
    const headers = { ...framing(body, options), ...options.headers, ...(await this.proof(method, target)) };
    const request = { method, path: target, headers };
    const outgoing =
      typeof place === 'string'
        ? // The host is not connected to. An address spares each process the 10 ms in which Node compiles its test for IPv6 addresses to look at a name.
          httpRequest({ ...request, socketPath: place, host: '127.0.0.1', agent: this.#agent })
        : place.request(request);
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => outgoing.destroy(this.#late(method, path)), options.timeoutMs);
    outgoing.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    outgoing.on('error', (error) => {
      clearTimeout(timer);
      reject(this.failure(error, signal, outgoing));
    });
    if (signal !== undefined) destroyOnAbort(outgoing, signal);
    if (options.stream === undefined) outgoing.end(body);
    else feedWhenConnected(options.stream, outgoing);
    return promise;
  }

  /** What went wrong below HTTP, in the project's words. */
  failure(error: unknown, signal?: AbortSignal, outgoing?: ClientRequest): Error {
    if (error instanceof CenoteError) return error;
    if (signal?.aborted) return new CenoteError('timeout', 'given up by the caller', { retryable: true, cause: error });
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const { peer, advice, place } = this.#options;
    const { shown } = this;
    const elsewhere = typeof place !== 'string';
    if (elsewhere) {
      const mistrusted = place.mistrusted(code, error);
      if (mistrusted !== undefined) return mistrusted;
    } else if (code === 'EACCES') return new CenoteError('forbidden', `no permission to use ${shown}`, { cause: error, advice: forbiddenAdvice });
    if (!unreachable.has(code) && !(elsewhere && unreachableElsewhere.has(code))) return error instanceof Error ? error : new Error(String(error));
    return new CenoteError('unavailable', `${peer} does not answer (${shown}: ${code})`, {
      cause: error,
      advice,
      context: { code, reused: outgoing?.reusedSocket === true },
    });
  }

  async #errorOf(response: IncomingMessage): Promise<CenoteError> {
    return this.refusal(await readAll(response, largestErrorBody).catch(() => ''), response);
  }

  /** The error that an answer tells of, with its whole body. */
  refusal(text: string, response: IncomingMessage): CenoteError {
    const body = parseErrorBody(text);
    const { place } = this.#options;
    if (body !== undefined) return typeof place === 'string' ? CenoteError.fromBody(body) : place.refused(CenoteError.fromBody(body), response);
    return new CenoteError('internal', `${this.#options.peer} answered ${response.statusCode} without saying why`);
  }

  #late(method: string, path: string): CenoteError {
    return new CenoteError('timeout', `${this.#options.peer} took too long`, { retryable: true, context: { method, path } });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
    const { place } = this.#options;
    if (typeof place !== 'string') place[Symbol.dispose]();
  }
}

/** A kept connection may be closed by the peer just as it is used again; that request was never seen. */
const staleSocket = (error: unknown): boolean => error instanceof CenoteError && error.code === 'unavailable' && error.context['reused'] === true;

/** Said always: Node leaves it out for methods that seldom have a body. */
const framing = (body: string | undefined, { stream, headers }: HttpRequest): OutgoingHttpHeaders => {
  if (body !== undefined) return { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return stream === undefined || headers?.['content-length'] !== undefined ? {} : { 'transfer-encoding': 'chunked' };
};

const queueFull = (error: unknown): boolean => error instanceof CenoteError && error.code === 'unavailable' && error.context['code'] === 'EAGAIN';

/** Pipes a body; when the source breaks, the request does, with the source's error. Nothing of it is taken before there is somebody to take it. */
const feedWhenConnected = (source: Readable, outgoing: ClientRequest): void => {
  const broken = (): void => {
    if (!source.readableEnded) outgoing.destroy(source.errored ?? undefined);
  };
  source.on('error', (error) => outgoing.destroy(error));
  source.on('close', broken);
  // One that broke before does not say so again, and would keep the request waiting for the rest.
  if (source.destroyed) broken();
  outgoing.on('close', () => source.unpipe(outgoing));
  const feed = (): void => void source.pipe(outgoing);
  outgoing.once('socket', (socket) => {
    if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', feed);
    else feed();
  });
};

/** As the option `signal` of node:http does, at a fraction of what that costs. */
const destroyOnAbort = (outgoing: ClientRequest, signal: AbortSignal): void => {
  const abort = (): void => void outgoing.destroy(new Error('aborted', { cause: signal.reason }));
  if (signal.aborted) {
    abort();
    return;
  }
  signal.addEventListener('abort', abort, { once: true });
  outgoing.once('close', () => signal.removeEventListener('abort', abort));
};

/** The whole body, or as much of it as `limit` bytes come with; by events, since iterating costs as much as the rest of a short answer. */
const readAll = (response: IncomingMessage, limit: number): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let size = 0;
  const done = (): void => resolve(Buffer.concat(chunks).toString('utf8'));
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
    else {
      response.destroy();
      done();
    }
  });
  response.on('end', done);
  response.on('error', reject);
  response.on('close', () => reject(new Error('the answer broke off')));
  return promise;
};

export const parseErrorBody = (text: string): ErrorBody | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value)) return undefined;
    return typeof value.code === 'string' && value.code in errorCodes && typeof value.message === 'string' ? (value as ErrorBody) : undefined;
  } catch {
    return undefined;
  }
};
