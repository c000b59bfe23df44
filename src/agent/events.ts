/** The agent's event log: numbered, kept in the journal, and told to whoever follows. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import type { Event, EventDetails } from '../model/event.ts';
import type { Journal } from './journal.ts';

/** Events that explain something have a shape of their own; others say what they like. */
type DetailOf<T extends string> = T extends keyof EventDetails ? [detail: EventDetails[T]] : [detail?: Record<string, unknown>];

/** Of what a reader has not taken yet. */
const mostBehind = 10_000;

/** An event before it has a number. */
export type Happened = Omit<Event, 'sequence'>;

export const happened = (type: string, subject: string, message: string, detail: object | undefined): Happened => ({
  at: new Date().toISOString(),
  type,
  subject,
  message,
  detail: { ...detail },
});

export class Events {
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #listeners = new Set<(event: Event) => void>();
  /** Told, and not yet in the journal. */
  readonly #unsaved = new Set<Event>();
  #sequence: number;

  constructor(journal: Journal, logger: Logger) {
    this.#journal = journal;
    this.#logger = logger;
    this.#sequence = journal.lastSequence();
  }

  /** The last one's number. */
  get last(): number {
    return this.#sequence;
  }

  emit<T extends string>(type: T, subject: string, message: string, ...[detail]: DetailOf<T>): void {
    this.tell(happened(type, subject, message, detail));
  }

  /** Now or, where nobody was there to number it, before. */
  tell(what: Happened): void {
    this.#sequence += 1;
    const { at, type, subject, message, detail } = what;
    const event: Event = { sequence: this.#sequence, at, type, subject, message, detail };
    this.#logger.info({ event: type, subject, ...detail }, message);
    this.#unsaved.add(event);
    this.#journal
      .appendEvent(event)
      .catch((error: unknown) => this.#logger.error({ error: messageChain(error) }, 'an event could not be kept'))
      .finally(() => this.#unsaved.delete(event));
    for (const listener of this.#listeners) listener(event);
  }

  /** What happens from now on, as it does. */
  listen(listener: (event: Event) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /**
   * Events after a number, then those to come, until the signal: as many at a time as happened in a turn of the event loop. A reader that falls
   * far behind is ended: it asks again from where it was. One that asks for more than there has been knew a journal that was lost, or replaced by
   * an old copy: it hears of what comes from now on.
   */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<readonly Event[]> {
    let waiting: Event[] = [];
    let wake: (() => void) | null = null;
    let last = Math.min(after, this.#sequence);
    const listener = (event: Event) => {
      waiting.push(event);
      wake?.();
    };
    const onAbort = () => wake?.();
    this.#listeners.add(listener);
    signal.addEventListener('abort', onAbort);
    try {
      const before = this.#journal.eventsAfter(last);
      const saved = before.at(-1)?.sequence ?? last;
      before.push(...this.#unsaved.values().filter(({ sequence }) => sequence > saved));
      last = before.at(-1)?.sequence ?? last;
      if (before.length > 0) yield before;
      while (!signal.aborted && waiting.length < mostBehind) {
        if (waiting.length === 0) {
          await new Promise<void>((resolve) => (wake = resolve));
          await turn();
        }
        const events = waiting.filter(({ sequence }) => sequence > last);
        waiting = [];
        if (events.length > 0) yield events;
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', onAbort);
    }
  }
}
