/** Stands at the control plane's doors while it cannot serve, and tells whoever comes why: as an error of the API they came for, never as silence. */
import { chmod } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { answerInstead } from '../base/answer-upgrade.ts';
import type { Logger } from '../base/logger.ts';
import { CenoteError, messageChain } from '../base/errors.ts';
import { tlsFor } from './cloudapi/certificate.ts';
import { isOurs } from './cloudapi/own-api.ts';
import { refusalOf } from './cloudapi/refusal.ts';
import type { CloudApiOptions } from './cloudapi/start.ts';

export interface DoormanOptions {
  socketPath: string;
  /** Where a certificate is kept. */
  directory: string;
  cloudapi: CloudApiOptions | undefined;
  logger: Logger;
}

interface Answer {
  status: number;
  body: object;
}

const retryAfterSeconds = 5;

export class Doorman implements AsyncDisposable {
  #reason: CenoteError;
  readonly #servers = new AsyncDisposableStack();

  private constructor(reason: CenoteError) {
    this.#reason = reason;
  }

  static async post({ socketPath, directory, cloudapi, logger }: DoormanOptions, reason: CenoteError): Promise<Doorman> {
    const doorman = new Doorman(reason);
    await using stack = new AsyncDisposableStack();
    stack.use(doorman);
    await doorman.#listen(createServer(), { path: socketPath }, () => doorman.#toLocal());
    // As with the control plane itself, anyone may ask.
    await chmod(socketPath, 0o666);
    if (cloudapi !== undefined)
      await doorman.#serveNetwork(directory, cloudapi).catch((error: unknown) =>
        logger.warn({ error: messageChain(error) }, 'nobody is told at the port of CloudAPI'),
      );
    stack.move();
    return doorman;
  }

  /** It is another reason now. */
  tell(reason: CenoteError): void {
    this.#reason = reason;
  }

  async #serveNetwork(directory: string, { address, port }: CloudApiOptions): Promise<void> {
    const tls = tlsFor(directory, address);
    const server = tls === undefined ? createServer() : createTlsServer({ ...tls, minVersion: 'TLSv1.2' });
    await this.#listen(server, { host: address, port }, (url) => (isOurs(url) ? this.#toAccount() : this.#toCloudApi()));
  }

  /** Whoever is on the host may know what is said of it. */
  #toLocal(): Answer {
    return { status: 503, body: this.#reason.toBody() };
  }

  #toAccount(): Answer {
    return { status: 503, body: new CenoteError('unavailable', 'the host cannot do this at the moment', { advice: 'try again later' }).toBody() };
  }

  #toCloudApi(): Answer {
    const refusal = refusalOf(this.#reason);
    return { status: refusal.status, body: refusal.toBody() };
  }

  async #listen(server: Server, place: { path: string } | { host: string; port: number }, answer: (url: string | undefined) => Answer): Promise<void> {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { status, body } = answer(request.url);
      response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'retry-after': String(retryAfterSeconds), connection: 'close' });
      response.end(JSON.stringify(body));
      request.resume();
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      socket.on('error', () => socket.destroy());
      answerInstead(socket, 503, answer(request.url).body, { 'retry-after': retryAfterSeconds });
    });
    server.listen(place);
    await once(server, 'listening');
    this.#servers.defer(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers.disposeAsync();
  }
}
