/**
 * The kernel's table of flows is one for all who are on a network on this host, on the external one for the host too. When it is full nobody
 * begins anything any more. So, as with memory, whoever wants may have of it while there is plenty; when a network has more than its part,
 * those with the most begin none until they have fewer, down to a level at which all fit. What is under way goes on, unless the table is nearly full
 * already: then what is above the level is cut.
 *
 * Not by a limit in the kernel (`ct count`): it walks through all of a machine's flows for each new one, 3.6 ms with 16,000.
 */
import type { Logger } from '../../base/logger.ts';
import type { AddressKey, Flow } from './flow-entry.ts';
import type { ConntrackFlows } from './flows.ts';

export interface CrowdingOptions {
  flows: Pick<ConntrackFlows, 'size' | 'survey' | 'cut'>;
  /** The machine of each address on the network. */
  machines: () => ReadonlyMap<AddressKey, string>;
  /** Machines that may begin no flow until something else is said. */
  hold: (machines: ReadonlySet<string>) => void;
  /** Of the whole table. */
  part: number;
  lookMs?: number | undefined;
  logger: Logger;
}

const usualLookMs = 1000;
/** So much sooner is looked when half of the part is used. */
const soonerWhenHalf = 4;
/** A survey takes the agent's time: the next is so many times as long away as this one took. */
const surveyRest = 3;
/** Who is held is let go below this part of what began it. */
const releasePart = 0.75;
const nearlyFull = 0.75;

/** The number that each may have so that all have no more than `room`; infinite when they have not. */
export const levelFor = (counts: Iterable<number>, room: number): number => {
  const sorted = [...counts].toSorted((one, other) => one - other);
  let left = Math.max(0, room);
  for (const [index, count] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - index));
    if (count > share) return share;
    left -= count;
  }
  return Infinity;
};

/** Who is to begin none, of machines with so many flows. */
export const heldOf = (counts: ReadonlyMap<string, number>, room: number, before: ReadonlySet<string>): Set<string> => {
  const level = levelFor(counts.values(), room);
  const release = levelFor(counts.values(), room * releasePart);
  return new Set(Array.from(counts).flatMap(([machine, count]) => (count > level || (count > release && before.has(machine)) ? [machine] : [])));
};

export class Crowding {
  readonly #options: CrowdingOptions;
  /** Undefined: what an agent before has said holds. */
  #held: ReadonlySet<string> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: CrowdingOptions) {
    this.#options = options;
    this.#lookIn(options.lookMs ?? usualLookMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #lookIn(milliseconds: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(
        (next) => this.#lookIn(next),
        (error: unknown) => {
          this.#options.logger.error({ err: error }, 'the table of flows cannot be looked at');
          this.#lookIn(usualLookMs);
        },
      );
    }, milliseconds).unref();
  }

  /** Says in how long to look again. */
  async #look(): Promise<number> {
    const { flows, part, lookMs = usualLookMs } = this.#options;
    const { known, most } = await flows.size();
    const room = most * part;
    const mayStay = this.#held?.size === 0 ? room : room * releasePart;
    if (known <= mayStay) {
      this.#hold(new Set());
      return known <= room / 2 ? lookMs : lookMs / soonerWhenHalf;
    }
    const started = performance.now();
    const ownerOf = this.#ownerOf();
    const counts = new Map<string, number>();
    await flows.survey((flow) => {
      const owner = ownerOf(flow);
      if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    });
    const held = heldOf(counts, room, this.#held ?? new Set());
    this.#hold(held, counts);
    if (known > most * nearlyFull) await this.#cut(counts, levelFor(counts.values(), room), ownerOf);
    return Math.max(lookMs / soonerWhenHalf, (performance.now() - started) * surveyRest);
  }

  /** Who began it, else who answers: a machine is not held for what another sends to it. */
  #ownerOf(): (flow: Flow) => string | undefined {
    const machines = this.#options.machines();
    return ({ source, answerer }) => machines.get(source) ?? machines.get(answerer);
  }

  #hold(held: ReadonlySet<string>, counts: ReadonlyMap<string, number> = new Map()): void {
    const former = this.#held;
    // Who is held may have other addresses by now.
    if (held.size === 0 && former?.size === 0) return;
    this.#options.hold(held);
    this.#held = held;
    for (const machine of held)
      if (former?.has(machine) !== true)
        this.#options.logger.warn({ machine, flows: counts.get(machine) }, 'a machine has so many flows that others would get none: it begins no more for now');
  }

  async #cut(counts: ReadonlyMap<string, number>, level: number, ownerOf: (flow: Flow) => string | undefined): Promise<void> {
    const surplus = new Map(Array.from(counts, ([machine, count]) => [machine, count - level]));
    await this.#options.flows.cut((flow) => {
      const owner = ownerOf(flow);
      const left = owner === undefined ? 0 : (surplus.get(owner) ?? 0);
      if (owner === undefined || left <= 0) return false;
      surplus.set(owner, left - 1);
      return true;
    });
  }
}
