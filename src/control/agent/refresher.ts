/** Machines that something happened to are asked for again, a few at a time, or all at once when they are many. */
import type { Logger } from '../../base/logger.ts';
import { CenoteError, messageChain } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import type { MachineStatus } from '../../model/machine.ts';
import type { Store } from '../../store/store.ts';
import { syncOne } from './sync.ts';
import type { Touched } from './touched.ts';

export interface RefresherOptions {
  store: Store;
  agent: AgentClient;
  touched: Touched;
  logger: Logger;
  signal: AbortSignal;
  syncAll: () => Promise<unknown>;
}

const wholeListFrom = 50;

export class Refresher {
  readonly #options: RefresherOptions;
  readonly #dirty = new Set<string>();
  #working: Promise<void> | undefined;

  constructor(options: RefresherOptions) {
    this.#options = options;
  }

  refresh(ids: readonly string[]): void {
    for (const id of ids) this.#dirty.add(id);
    if (this.#dirty.size === 0 || this.#working !== undefined) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      if (!this.#options.signal.aborted) this.refresh([]);
    });
  }

  async idle(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    const { signal, logger, syncAll } = this.#options;
    while (this.#dirty.size > 0 && !signal.aborted) {
      const ids = [...this.#dirty];
      this.#dirty.clear();
      try {
        if (ids.length >= wholeListFrom) await syncAll();
        else for (const id of ids) await this.#one(id);
      } catch (error) {
        // An agent that is away is compared with as a whole when it is back.
        if (!signal.aborted) logger.warn({ error: messageChain(error) }, 'machines could not be asked for');
      }
    }
  }

  async #one(id: string): Promise<void> {
    const { agent, store, touched, signal, syncAll } = this.#options;
    using watch = touched.watch();
    const outcome = await syncOne(store, id, await this.#status(agent, id, signal), watch.ids);
    if (outcome === 'whole') await syncAll();
    if (outcome === 'again') this.#dirty.add(id);
  }

  async #status(agent: AgentClient, id: string, signal: AbortSignal): Promise<MachineStatus | null> {
    try {
      return await agent.machineGet(id, { signal });
    } catch (error) {
      if (error instanceof CenoteError && error.code === 'not_found') return null;
      throw error;
    }
  }
}
