/**
 * Many callers, one sync: whoever asks while a sync runs shares the next one, because the running one may have passed over what
 * the caller has just done.
 */
export class GroupCommit {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  commit(): Promise<void> {
    if (this.#running === null) return this.#start();
    // The one that runs may fail: that is its callers' affair, and the next begins all the same.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = null;
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
