/**
 * Sockets of a DNS server: one address and port, datagrams and streams. Streams are bounded, for each peer and in all, and answered one
 * message at a time: whoever sends faster than answers come is held back by its own connection.
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket as DatagramSocket } from 'node:dgram';
import { createServer, isIPv6 } from 'node:net';
import type { Server, Socket } from 'node:net';
import { isErrno } from '../base/errno.ts';
import { MessageFramer, frame } from './stream.ts';
import { Tally } from './tally.ts';

/** One message; for a transfer several; undefined: none, and a stream that brought such a message is closed. */
export type Answer = Buffer | readonly Buffer[] | undefined;

export interface ListenerOptions {
  address: string;
  /** 0 is any that is free for both. */
  port: number;
  answerDatagram: (message: Buffer, from: string) => Answer | Promise<Answer>;
  answerStream: (message: Buffer, from: string) => Answer | Promise<Answer>;
  /** Whether a peer may have a stream at all; absent: all may. */
  mayConnect?: (from: string) => boolean;
  /** Peers whose streams are not counted: whatever others do, there is room for them. */
  isFamiliar?: (from: string) => boolean;
  /** Something went wrong with a socket, which goes on. */
  onError: (error: Error) => void;
  limits: { streams: number; streamsPerPeer: number };
}

const streamIdleMs = 10_000;
const mostAttempts = 10;
/** A burst waits here while this process does something else; the kernel gives what it may. */
const receiveBytes = 4 * 1024 * 1024;

export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #datagrams: DatagramSocket;
  readonly #server: Server = createServer({ allowHalfOpen: false });
  readonly #streams = new Set<Socket>();
  readonly #open: Tally;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#open = new Tally(options.limits.streams, options.limits.streamsPerPeer);
    this.#datagrams = createSocket({ type: isIPv6(options.address) ? 'udp6' : 'udp4', recvBufferSize: receiveBytes });
  }

  static async open(options: ListenerOptions): Promise<Listener> {
    for (let attempt = 1; ; attempt += 1) {
      const listener = new Listener(options);
      try {
        await listener.#bind();
        return listener;
      } catch (error) {
        await listener[Symbol.asyncDispose]();
        // The kernel gives one that is free for datagrams; somebody else's stream may have it.
        if (options.port !== 0 || attempt === mostAttempts || !isErrno(error, 'EADDRINUSE')) throw error;
      }
    }
  }

  get port(): number {
    return this.#datagrams.address().port;
  }

  async #bind(): Promise<void> {
    const { address, port, onError } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#datagrams.once('error', reject);
      this.#datagrams.bind({ address, port, exclusive: true }, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address, port: this.port, exclusive: true }, resolve);
    });
    for (const part of [this.#datagrams, this.#server]) part.removeAllListeners('error').on('error', onError);
    this.#datagrams.on('message', (message, from) => this.#onDatagram(message, from));
    this.#server.on('connection', (stream) => this.#onStream(stream));
  }

  #onDatagram(message: Buffer, from: RemoteInfo): void {
    const answer = this.#options.answerDatagram(message, from.address);
    if (answer instanceof Promise) void answer.then((late) => this.#send(late, from));
    else this.#send(answer, from);
  }

  /** A socket that is closed already has nothing to be sent. */
  #send(answer: Answer, from: RemoteInfo): void {
    if (!Buffer.isBuffer(answer)) return;
    try {
      this.#datagrams.send(answer, from.port, from.address, ignore);
    } catch {
      // Closed meanwhile, or an address and port that nothing can be sent to.
    }
  }

  #onStream(stream: Socket): void {
    const peer = stream.remoteAddress ?? '';
    const counted = this.#options.isFamiliar?.(peer) !== true;
    if (this.#options.mayConnect?.(peer) === false || (counted && !this.#open.enter(peer))) return void stream.destroy();
    this.#streams.add(stream);
    const framer = new MessageFramer();
    stream.setTimeout(streamIdleMs, () => stream.destroy());
    stream.on('error', () => stream.destroy());
    stream.on('close', () => {
      this.#streams.delete(stream);
      if (counted) this.#open.leave(peer);
    });
    stream.on('data', (chunk: Buffer) => {
      stream.pause();
      void this.#answerStream(stream, peer, framer.push(chunk)).finally(() => stream.resume());
    });
  }

  async #answerStream(stream: Socket, peer: string, messages: readonly Buffer[]): Promise<void> {
    for (const message of messages) {
      if (stream.destroyed) return;
      const answer = await this.#options.answerStream(message, peer);
      if (answer === undefined) return void stream.destroy();
      for (const part of Buffer.isBuffer(answer) ? [answer] : answer) {
        if (!stream.writable) return;
        // One that takes nothing any more is ended by its own time limit.
        if (!stream.write(frame(part))) await drained(stream);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    await new Promise<void>((resolve) => {
      try {
        this.#datagrams.close(resolve);
      } catch {
        resolve();
      }
    });
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}

const ignore = (): void => {};

const drained = (stream: Socket): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
