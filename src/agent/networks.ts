/**
 * The fabric networks that this host was told of, kept in the journal: a machine comes back after a reboot with nobody else to ask. What no
 * machine is on any more is forgotten at the next start.
 */
import { SerialQueue } from '../base/serial-queue.ts';
import type { Network } from '../host/network/network.ts';
import { networksOf } from '../model/nics.ts';
import type { NetworkDefinition } from '../model/network.ts';
import type { MachineSpec } from '../model/machine.ts';
import type { Journal } from './journal.ts';

const mostWaiting = 1024;

export class KnownNetworks {
  readonly #network: Network;
  readonly #journal: Journal;
  readonly #onDefined: (definition: NetworkDefinition) => void;
  readonly #known = new Map<string, NetworkDefinition>();
  readonly #queue = new SerialQueue(mostWaiting);

  /** `onDefined` is told of each, whenever it is defined. */
  constructor(network: Network, journal: Journal, onDefined: (definition: NetworkDefinition) => void) {
    this.#network = network;
    this.#journal = journal;
    this.#onDefined = onDefined;
  }

  async restore(specs: Iterable<MachineSpec>): Promise<void> {
    const used = networksOf(specs);
    const recorded = this.#journal.loadNetworks();
    for (const definition of recorded.filter(({ id }) => used.has(id))) {
      await this.#define(definition);
    }
    const unused = recorded.filter(({ id }) => !used.has(id)).map(({ id }) => id);
    if (unused.length > 0) await this.#journal.changeNetworks([], unused);
  }

  list(): NetworkDefinition[] {
    return [...this.#known.values()];
  }

  /** On record and in force when it resolves; an older version changes nothing. */
  put(definition: NetworkDefinition): Promise<void> {
    return this.#queue.run(async () => {
      const { id, version } = definition;
      if ((this.#known.get(id)?.version ?? 0) >= version) return;
      await this.#journal.changeNetworks([definition], []);
      await this.#define(definition);
    });
  }

  async #define(definition: NetworkDefinition): Promise<void> {
    this.#known.set(definition.id, definition);
    await this.#network.define(definition);
    this.#onDefined(definition);
  }
}
