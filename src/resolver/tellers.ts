/** The socket over which the host's agent tells what there is. What was told stays when the agent goes. */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { jsonLine } from '../base/json-lines.ts';
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import type { Told } from '../dns/told.ts';
import type { ResolverStatus } from '../model/names-api.ts';

export interface TellersOptions {
  socketPath: string;
  onTold: (told: Told) => void;
  /** What is said to whoever tells; undefined while there is nothing to say. */
  status: () => ResolverStatus | undefined;
  logger: Logger;
}

export class Tellers implements AsyncDisposable {
  readonly #options: TellersOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#onSocket(socket));

  private constructor(options: TellersOptions) {
    this.#options = options;
  }

  static async open(options: TellersOptions): Promise<Tellers> {
    const tellers = new Tellers(options);
    rmSync(options.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      tellers.#server.once('error', reject);
      tellers.#server.listen(options.socketPath, resolve);
    });
    return tellers;
  }

  /** There is something else to say. */
  notify(): void {
    for (const socket of this.#sockets) this.#say(socket);
  }

  #onSocket(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    createInterface({ input: socket })
      .on('line', (line) => this.#onLine(socket, line))
      .on('error', () => socket.destroy());
    this.#say(socket);
  }

  #onLine(socket: Socket, line: string): void {
    try {
      this.#options.onTold(JSON.parse(line) as Told);
    } catch (error) {
      this.#options.logger.error({ error: messageOf(error) }, 'what was told is not understood');
      socket.destroy();
    }
  }

  #say(socket: Socket): void {
    const status = this.#options.status();
    if (status !== undefined) socket.write(jsonLine(status));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    rmSync(this.#options.socketPath, { force: true });
  }
}
