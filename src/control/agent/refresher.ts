/**
 * Machines that something happened to are asked for again, a few at a time, or all at once when they are many. Most of what happens is a job's
 * doing, whose own answer comes a moment after the event and tells it all: so an event waits for that moment, and is then often old news.
 */
import { setTimeout as sleep } from 'node:timers/promises';
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
  onRefreshed: (machine: string) => void;
}

/** What an agent's event says of a machine that is not in the store yet. */
interface News {
  sequence: number;
  sinceMs: number;
}

const wholeListFrom = 50;
/** Events are this old when they are looked at. */
const settleMs = 20;
/** While a job of the machine is under way, up to this old; a job may take minutes. */
const longestHeldMs = 200;

export class Refresher {
  readonly #options: RefresherOptions;
  readonly #dirty = new Map<string, News>();
  #last = 0;
  #working: Promise<void> | undefined;

  constructor(options: RefresherOptions) {
    this.#options = options;
  }

  /** Events in their order, each with the machine it is of. */
  refresh(events: readonly { sequence: number; subject: string }[]): void {
    const sinceMs = performance.now();
    for (const { sequence, subject } of events) this.#dirty.set(subject, { sequence, sinceMs: this.#dirty.get(subject)?.sinceMs ?? sinceMs });
    this.#last = events.at(-1)?.sequence ?? this.#last;
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
    const { signal, logger, syncAll, touched } = this.#options;
    while (this.#dirty.size > 0 && !signal.aborted) {
      await sleep(settleMs, undefined, { signal }).catch(() => undefined);
      const due = this.#takeDue();
      try {
        if (due.length >= wholeListFrom) await syncAll();
        else for (const [id, news] of due) await this.#one(id, news);
      } catch (error) {
        // An agent that is away is compared with as a whole when it is back.
        if (!signal.aborted) logger.warn({ error: messageChain(error) }, 'machines could not be asked for');
      }
      if (this.#dirty.size === 0) touched.forget(this.#last);
    }
  }

  /** Those to be asked for now. The others wait for their job's answer, or have been told of by it. */
  #takeDue(): [id: string, news: News][] {
    const { touched } = this.#options;
    const now = performance.now();
    const due: [string, News][] = [];
    for (const [id, news] of this.#dirty) {
      const isOld = touched.isTold(id, news.sequence);
      if (!isOld && touched.isUnderWay(id) && now - news.sinceMs < longestHeldMs) continue;
      this.#dirty.delete(id);
      if (!isOld) due.push([id, news]);
    }
    return due;
  }

  async #one(id: string, news: News): Promise<void> {
    const { agent, store, touched, signal, syncAll, onRefreshed } = this.#options;
    using watch = touched.watch();
    const outcome = await syncOne(store, id, await this.#status(agent, id, signal), watch.ids);
    if (outcome === 'done') onRefreshed(id);
    if (outcome === 'whole') await syncAll();
    if (outcome === 'again' && !this.#dirty.has(id)) this.#dirty.set(id, news);
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
