/**
 * What goes on after it was found out who calls: WebSockets, and requests of our own API that may stream for hours. Who may do what can change
 * meanwhile: whoever would no longer be let in is then let go. A key, a token or a user that is gone, an access key that is inactive, an account
 * that is disabled and a role that grants no more are all seen the same way: it is asked again.
 */
import type { Duplex } from 'node:stream';
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';

/** What ends by itself, such as a token, is seen this late at most. */
const lookEveryMs = 10_000;

export class Lasting implements Disposable {
  /** What was let in last on each connection. */
  readonly #open = new Map<Duplex, () => Promise<boolean>>();
  readonly #known = new WeakSet<Duplex>();
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #again = false;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  hold(socket: Duplex, mayStay: () => Promise<boolean>): void {
    if (socket.destroyed) return;
    if (!this.#known.has(socket)) socket.once('close', () => this.#open.delete(socket));
    this.#known.add(socket);
    this.#open.set(socket, mayStay);
  }

  /** Another request has come on it. */
  release(socket: Duplex): void {
    this.#open.delete(socket);
  }

  /** Something was written of who may do what. */
  look(): void {
    this.#again = true;
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#again) {
      this.#again = false;
      for (const [socket, mayStay] of this.#open) if (!(await this.#asked(mayStay)) && this.#open.get(socket) === mayStay) socket.destroy();
    }
    this.#looking = false;
  }

  /** While that cannot be found out, nobody is let go. */
  async #asked(mayStay: () => Promise<boolean>): Promise<boolean> {
    try {
      return await mayStay();
    } catch (error) {
      this.#logger.debug({ error: messageChain(error) }, 'whether a connection may stay was not found out');
      return true;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
