/** Sandboxes that are numbers only. */
import { CenoteError } from '../../base/errors.ts';
import type { Network } from '../network/network.ts';
import type { Sandbox, Sandboxes, SandboxLink } from './sandbox.ts';
import { uidBaseOf } from './slots.ts';

export class FakeSandboxes implements Sandboxes {
  readonly taken = new Set<number>();
  readonly #network: Network;
  readonly #limit: number;

  constructor(network: Network, limit = 1024) {
    this.#network = network;
    this.#limit = limit;
  }

  async take(link: SandboxLink): Promise<Sandbox> {
    let slot = 0;
    while (this.taken.has(slot)) slot += 1;
    if (slot >= this.#limit) throw new CenoteError('not_enough', `all ${this.#limit} uid ranges of this instance are in use`);
    this.taken.add(slot);
    if (link === 'external') await this.#network.prepare(slot, -1);
    return {
      slot,
      uidBase: uidBaseOf(slot),
      userNamespace: '/proc/self/ns/user',
      networkNamespace: '/proc/self/ns/net',
      userNamespaceFd: -1,
      networkNamespaceFd: -1,
      idmapFd: -1,
    };
  }

  started(): void {}

  release(slot: number): void {
    this.taken.delete(slot);
  }

  async restore(slots: number[]): Promise<void> {
    for (const slot of slots) this.taken.add(slot);
  }

  async close(): Promise<void> {}
}
