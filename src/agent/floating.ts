/** Whose floating addresses are, as this host was told: kept in the journal, so that they are there after a reboot with nobody else to ask. */
import { Holdings } from '../base/holdings.ts';
import { SerialQueue } from '../base/serial-queue.ts';
import type { Network } from '../host/network/network.ts';
import type { FloatingState } from '../model/network.ts';
import type { Journal } from './journal.ts';

const mostWaiting = 1024;

export class KnownFloating {
  readonly #network: Network;
  readonly #journal: Journal;
  readonly #known = new Map<string, FloatingState>();
  readonly #machines = new Holdings<string, string>();
  readonly #onMoved: (machine: string, addresses: readonly string[]) => void;
  readonly #queue = new SerialQueue(mostWaiting);

  /** `onMoved` is told of each machine that has gained or lost one what it has now. */
  constructor(network: Network, journal: Journal, onMoved: (machine: string, addresses: readonly string[]) => void) {
    this.#network = network;
    this.#journal = journal;
    this.#onMoved = onMoved;
  }

  /** Before machines are connected or found. */
  async restore(): Promise<void> {
    for (const state of this.#journal.loadFloating()) {
      await this.#lead(state);
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
      await this.#lead(state);
    });
  }

  async #lead(state: FloatingState): Promise<void> {
    const { address, machine, wired } = state;
    const former = this.#machines.holderOf(address);
    this.#known.set(address, state);
    this.#machines.give(address, machine ?? undefined);
    await this.#network.float(address, machine, wired);
    for (const one of new Set([former, machine ?? undefined])) if (one !== undefined) this.#onMoved(one, this.#machines.heldBy(one));
  }
}
