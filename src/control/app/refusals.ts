/**
 * What was refused for want of room is recorded: nothing has come of it that could be looked at, and `why` is asked later. A client that tries
 * until it fits is recorded once a minute.
 */
import type { Logger } from '../../base/logger.ts';
import { CenoteError, messageChain } from '../../base/errors.ts';
import type { EventDetails } from '../../model/event.ts';
import { systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { eventAppend } from '../../store/event.ts';
import { machineFind } from '../../store/machine.ts';
import type { Store } from '../../store/store.ts';

type Refusal = EventDetails['machine.refused'];

const againMs = 60_000;
const mostRemembered = 1000;

export class Refusals {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #onEvent: () => void;
  /** When each was recorded last, the oldest first. */
  readonly #recorded = new Map<string, number>();

  constructor(store: Store, logger: Logger, onEvent: () => void) {
    this.#store = store;
    this.#logger = logger;
    this.#onEvent = onEvent;
  }

  /** `machine`: its name or id; of one that is to be made, its name. */
  async recording<Result>(context: RequestContext, action: Refusal['action'], machine: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CenoteError && (error.code === 'not_enough' || error.code === 'over_quota'))
        await this.#record(context, machine, { action, code: error.code, reason: error.message });
      throw error;
    }
  }

  /** That it cannot be recorded is no reason to refuse it for another. */
  async #record(context: RequestContext, machine: string, detail: Refusal): Promise<void> {
    try {
      const key = JSON.stringify([context.account, machine, detail]);
      const now = performance.now();
      if (now - (this.#recorded.get(key) ?? Number.NEGATIVE_INFINITY) < againMs) return;
      this.#recorded.delete(key);
      this.#recorded.set(key, now);
      if (this.#recorded.size > mostRemembered) this.#recorded.delete(this.#recorded.keys().next().value!);
      const store = this.#store;
      const target = detail.action === 'create' ? undefined : await machineFind(context, store.db, machine);
      const message = `${detail.action} of ${target?.machine.name ?? machine} was refused: ${detail.reason}`;
      const subject = target?.machine.id ?? machine;
      await store.transactionRepeatable((db) =>
        eventAppend(system, db, [{ account: context.account, at: new Date().toISOString(), type: 'machine.refused', subject, message, detail: { ...detail } }]),
      );
      this.#onEvent();
    } catch (error) {
      this.#logger.warn({ error: messageChain(error), machine, ...detail }, 'a refusal could not be recorded');
    }
  }
}
