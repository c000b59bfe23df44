/** Numbers of zones' versions: they rise whatever happens, also over a restart, and cost a write only now and then. */
import { systemContext as system } from '../../store/context.ts';
import { metaGet, metaSet } from '../../store/meta.ts';
import type { Store } from '../../store/store.ts';

/** So many are set aside at once; those left over at an end are skipped. */
const atOnce = 1000;

export class Serials {
  readonly #store: Store;
  #last: number;
  #setAside: number;

  private constructor(store: Store, from: number) {
    this.#store = store;
    this.#last = from;
    this.#setAside = from;
  }

  /** Never behind the clock: a store that was put back from an old copy is ahead of what secondaries have all the same. */
  static async open(store: Store): Promise<Serials> {
    const kept = Number((await metaGet(system, store.db, 'dns.serial')) ?? 0);
    return new Serials(store, Math.max(kept, Math.floor(Date.now() / 1000)));
  }

  async next(): Promise<number> {
    this.#last += 1;
    if (this.#last > this.#setAside) {
      this.#setAside = this.#last + atOnce;
      await this.#store.transactionRepeatable((db) => metaSet(system, db, 'dns.serial', String(this.#setAside)));
    }
    return this.#last;
  }
}
