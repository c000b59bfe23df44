/** Whose floating addresses are, as this host was told: kept in the journal, so that they are there after a reboot with nobody else to ask. */
import { SerialQueue } from '../base/serial-queue.ts';
import type { Network } from '../host/network/network.ts';
import type { FloatingState } from '../model/network.ts';
import type { Journal } from './journal.ts';

const mostWaiting = 1024;

export class KnownFloating {
  readonly #network: Network;
  readonly #journal: Journal;
  readonly #known = new Map<string, FloatingState>();
  readonly #queue = new SerialQueue(mostWaiting);

  constructor(network: Network, journal: Journal) {
    this.#network = network;
    this.#journal = journal;
  }

  /** Before machines are connected or found. */
  async restore(): Promise<void> {
    for (const state of this.#journal.loadFloating()) {
      this.#known.set(state.address, state);
      await this.#network.float(state.address, state.machine);
    }
  }

  list(): FloatingState[] {
    return [...this.#known.values()];
  }

  /** On record and in force when it resolves; an older version changes nothing. */
  put(state: FloatingState): Promise<void> {
    return this.#queue.run(async () => {
      if ((this.#known.get(state.address)?.version ?? 0) >= state.version) return;
      await this.#journal.saveFloating(state);
      this.#known.set(state.address, state);
      await this.#network.float(state.address, state.machine);
    });
  }
}
