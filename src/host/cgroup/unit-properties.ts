/**
 * What the machines' unit has of memory and CPU, told to systemd. Each telling is a program and takes milliseconds, so it happens beside the
 * work, one at a time and not too often; of what was wanted meanwhile the last counts, and what systemd did not take it is told again. Runtime properties: a reboot forgets them, and the
 * agent says them again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { run } from '../../exec/run.ts';
import { memoryBytes, poolSwapBytes } from './settings.ts';

const tellEveryMs = 500;

interface TellOptions {
  tell: (unit: string, properties: readonly string[]) => Promise<unknown>;
  tellAgainMs: number;
}

const tellSystemd = (unit: string, properties: readonly string[]) => run('systemctl', ['set-property', '--runtime', unit, ...properties]);

export class UnitProperties {
  readonly #unit: string;
  readonly #logger: Logger;
  readonly #options: TellOptions;
  #wanted: string[] = [];
  #next: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();
  #toldAt = -Infinity;
  #again: NodeJS.Timeout | undefined;

  constructor(unit: string, logger: Logger, options: TellOptions = { tell: tellSystemd, tellAgainMs: 10_000 }) {
    this.#unit = unit;
    this.#logger = logger;
    this.#options = options;
  }

  /** All of them, each time; until systemd has these, or later ones. */
  set(properties: Readonly<Record<string, number>>): Promise<void> {
    this.#wanted = Object.entries(properties).map(([name, value]) => `${name}=${value}`);
    return this.#told();
  }

  #told(): Promise<void> {
    return (this.#next ??= this.#last = this.#last.then(() => this.#tell()));
  }

  async #tell(): Promise<void> {
    const restMs = this.#toldAt + tellEveryMs - performance.now();
    if (restMs > 0) await sleep(restMs, undefined, { ref: false });
    this.#next = null; // what is wanted from here on is for another telling
    clearTimeout(this.#again);
    try {
      await this.#options.tell(this.#unit, this.#wanted);
    } catch (error) {
      this.#logger.warn({ unit: this.#unit, error: messageChain(error) }, 'systemd did not take what the machines together are to have; it is told again');
      this.#again = setTimeout(() => void this.#told(), this.#options.tellAgainMs).unref();
    }
    this.#toldAt = performance.now();
  }
}

/** On cgroup v1 there is none for swap, and systemd passes it over. */
export const poolProperties = (poolMib: number, weight: number): Record<string, number> => ({
  MemoryMax: memoryBytes(poolMib),
  MemorySwapMax: poolSwapBytes(poolMib),
  CPUWeight: weight,
});
