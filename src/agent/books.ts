/**
 * What is set aside for machines. It is taken when a request is admitted, before anything is done for it, so that of two requests at the
 * same time never both are promised the last of something.
 */
import { refuseShortfall } from '../model/admission.ts';
import { guaranteeKeys, guaranteesWithout, noGuarantees } from '../model/resources.ts';
import type { Guarantees, PoolSize } from '../model/resources.ts';

/** Held for a request under way; disposed of without `keep`, all is as before. */
export interface Reservation extends Disposable {
  keep(): void;
}

export class Books {
  readonly #pool: () => PoolSize;
  readonly #taken: Guarantees = { ...noGuarantees };

  constructor(pool: () => PoolSize) {
    this.#pool = pool;
  }

  get pool(): PoolSize {
    return this.#pool();
  }

  get taken(): Readonly<Guarantees> {
    return this.#taken;
  }

  /** A machine that there is: what it was promised stands, whatever the pool has become. */
  enter(guarantees: Guarantees): void {
    for (const key of guaranteeKeys) this.#taken[key] += guarantees[key];
  }

  strike(guarantees: Guarantees): void {
    for (const key of guaranteeKeys) this.#taken[key] -= guarantees[key];
  }

  /** Sets aside what `wanted` has more than `former`, or refuses with what is left; what it has less is given back by `keep`. */
  reserve(wanted: Guarantees, former: Guarantees = noGuarantees): Reservation {
    refuseShortfall(this.#pool(), guaranteesWithout(this.#taken, former), wanted, former);
    const more = { ...noGuarantees };
    const less = { ...noGuarantees };
    for (const key of guaranteeKeys) {
      more[key] = Math.max(0, wanted[key] - former[key]);
      less[key] = Math.max(0, former[key] - wanted[key]);
    }
    this.enter(more);
    let isOpen = true;
    const close = (given: Guarantees) => {
      if (isOpen) this.strike(given);
      isOpen = false;
    };
    return { keep: () => close(less), [Symbol.dispose]: () => close(more) };
  }
}
