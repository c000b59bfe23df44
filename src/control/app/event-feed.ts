/** Events for followers: read from the store, so that a slow follower holds nothing in memory, and woken when there are new ones. */
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import type { Event } from '../../model/event.ts';
import { systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { deletedMachineTrim } from '../../store/deleted-machine.ts';
import { eventLast, eventList, eventTrim } from '../../store/event.ts';
import type { Store } from '../../store/store.ts';
import { Wake, wakeOrTimeout } from '../wake.ts';

const pageSize = 500;
const kept = 100_000;
const trimEvery = 1000;
const deletedKeptMs = 30 * 24 * 3600_000;

export class EventFeed {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #wake = new Wake();
  readonly #stopping: AbortSignal;
  #sinceTrim = 0;

  constructor(store: Store, logger: Logger, stopping: AbortSignal) {
    this.#store = store;
    this.#logger = logger;
    this.#stopping = stopping;
  }

  /** After the transaction that recorded events. */
  notify(): void {
    this.#wake.notify();
    this.#sinceTrim += 1;
    if (this.#sinceTrim < trimEvery) return;
    this.#sinceTrim = 0;
    this.#trim().catch((error: unknown) => this.#logger.warn({ error: messageChain(error) }, 'old events could not be dropped'));
  }

  /** Pages of events; without `after`, a follower begins with what happens next. */
  async *read(
    context: RequestContext,
    query: { after: number | undefined; subject?: string | undefined; follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Event[]> {
    const { db } = this.#store;
    let after = query.after ?? (query.follow ? await eventLast(context, db) : 0);
    const until = AbortSignal.any([signal, this.#stopping]);
    while (!until.aborted) {
      const woken = this.#wake.next();
      const page = await eventList(context, db, after, pageSize, query.subject);
      if (page.length > 0) {
        after = page.at(-1)!.sequence;
        yield page;
      } else if (query.follow) await wakeOrTimeout(woken, Number.POSITIVE_INFINITY, until);
      else return;
    }
  }

  async #trim(): Promise<void> {
    const last = await eventLast(system, this.#store.db);
    const goneBefore = new Date(Date.now() - deletedKeptMs).toISOString();
    await this.#store.transactionRepeatable(async (db) => {
      await eventTrim(system, db, last - kept);
      await deletedMachineTrim(system, db, goneBefore);
    });
  }
}
