/**
 * Requests that were signed beforehand, sent over plain sockets that stay open: what the generator costs is little beside what it asks for.
 * Who answers checks every signature, since it keeps none.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { SignedClient } from '../../test/support/signed-client.ts';

/** As it goes over the wire. */
export const signedRequest = (client: SignedClient, url: URL, path: string): string => {
  const headers = { host: url.host, 'accept-version': '~9||~8', accept: 'application/json', ...client.signed('GET', path) };
  return `GET ${path} HTTP/1.1\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
};

/** One request after another on one connection. */
export class Requester implements Disposable {
  readonly #socket: Socket;
  #waiting: PromiseWithResolvers<void> | undefined;
  #head = '';
  #missing = 0;
  busy = false;

  constructor({ hostname, port }: URL) {
    this.#socket = connect(Number(port), hostname);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#waiting?.reject(error));
    this.#socket.on('close', () => this.#waiting?.reject(new Error('the connection ended')));
  }

  /** Resolves with the last byte of a good answer. */
  async send(request: string): Promise<void> {
    this.#waiting = Promise.withResolvers();
    this.busy = true;
    this.#socket.write(request, 'latin1');
    await this.#waiting.promise;
    this.busy = false;
  }

  #read(chunk: Buffer): void {
    if (this.#missing > 0) {
      this.#missing -= chunk.length;
    } else {
      this.#head += chunk.toString('latin1', 0, 4096);
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1] ?? Number.NaN);
      if (!this.#head.startsWith('HTTP/1.1 200 ') || Number.isNaN(length)) {
        this.#waiting?.reject(new Error(this.#head.slice(0, 1000)));
        return;
      }
      this.#missing = length + end + 4 - chunk.length;
    }
    if (this.#missing > 0) return;
    this.#head = '';
    this.#missing = 0;
    this.#waiting?.resolve();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Every connection always has a request under way, for so long. */
export const saturate = async (
  requesters: readonly Requester[],
  requests: readonly string[],
  milliseconds: number,
): Promise<{ count: number; seconds: number }> => {
  const begun = performance.now();
  let count = 0;
  await Promise.all(
    requesters.map(async (requester, index) => {
      for (let at = index; performance.now() - begun < milliseconds; at += requesters.length, count += 1) await requester.send(requests[at % requests.length]!);
    }),
  );
  return { count, seconds: (performance.now() - begun) / 1000 };
};

export interface SteadyTimes {
  /** From when a request was due: the generator's own lateness included. */
  fromDue: number[];
  fromSent: number[];
}

/** Sends when a request is due, whether or not others have been answered. */
export const steadily = async (requesters: readonly Requester[], requests: readonly string[], perSecond: number, until: AbortSignal): Promise<SteadyTimes> => {
  const begun = performance.now();
  const times: SteadyTimes = { fromDue: [], fromSent: [] };
  const open: Promise<void>[] = [];
  for (let index = 0; !until.aborted; index += 1) {
    const due = begun + (index * 1000) / perSecond;
    const early = due - performance.now();
    if (early > 0.5) await new Promise((resolve) => setTimeout(resolve, early));
    const free = requesters.find(({ busy }) => !busy);
    if (free === undefined) throw new Error(`${requesters.length} requests wait for their answers`);
    const sent = performance.now();
    const answered = (): void => {
      const now = performance.now();
      times.fromDue.push(now - due);
      times.fromSent.push(now - sent);
    };
    open.push(free.send(requests[index % requests.length]!).then(answered));
    // Told at the end, with the others; until then nobody waits for it.
    open.at(-1)!.catch(() => undefined);
  }
  await Promise.all(open);
  return times;
};
