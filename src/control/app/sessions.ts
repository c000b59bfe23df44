/** Connections by the account that last proved itself on them, so that all of an account's end when it may come in no more. */
import type { Duplex } from 'node:stream';

export class Sessions {
  readonly #open = new Map<string, Set<Duplex>>();
  readonly #owner = new WeakMap<Duplex, string>();

  add(account: string, socket: Duplex): void {
    const before = this.#owner.get(socket);
    if (before === account || socket.destroyed) return;
    if (before === undefined) socket.once('close', () => this.#forget(socket));
    else this.#open.get(before)?.delete(socket);
    this.#owner.set(socket, account);
    const own = this.#open.get(account) ?? new Set();
    this.#open.set(account, own.add(socket));
  }

  end(account: string): void {
    for (const socket of this.#open.get(account) ?? []) socket.destroy();
  }

  #forget(socket: Duplex): void {
    const account = this.#owner.get(socket)!;
    const own = this.#open.get(account);
    own?.delete(socket);
    if (own?.size === 0) this.#open.delete(account);
  }
}
