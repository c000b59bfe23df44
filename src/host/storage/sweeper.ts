/** Upkeep that is asked for by a poke and repeated, ever more rarely, for as long as something is left to do. */
import type { Logger } from '../../base/logger.ts';

const delaysMs = [2_000, 5_000, 30_000, 60_000, 300_000];

export class Sweeper {
  readonly #sweep: () => Promise<boolean>;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #round = 0;
  #closed = false;

  /** `sweep` says whether something is left. */
  constructor(sweep: () => Promise<boolean>, logger: Logger) {
    this.#sweep = sweep;
    this.#logger = logger;
  }

  poke(): void {
    this.#round = 0;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null || this.#closed) return;
    const delay = delaysMs[Math.min(this.#round, delaysMs.length - 1)]!;
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, delay);
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    this.#round += 1;
    try {
      const left = await this.#sweep();
      this.#timer = null;
      if (left) this.#schedule();
    } catch (error) {
      this.#timer = null;
      this.#logger.warn({ err: error }, 'quota groups could not be swept');
      this.#schedule();
    }
  }

  /** Waits for a sweep under way. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }
}
