/** Wake-ups: something waits, something else says that it is time. Nothing in the control plane polls. */

export class Wake {
  #waiting = Promise.withResolvers<void>();

  notify(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
  }

  /** Resolves at the next `notify`. Taken before looking at what is waited for, so that no wake-up falls in between. */
  next(): Promise<void> {
    return this.#waiting.promise;
  }
}

/** The first of: the promise, the time, the signal. Never rejects. */
export const wakeOrTimeout = async (promise: Promise<unknown>, milliseconds: number, signal: AbortSignal): Promise<void> => {
  if (signal.aborted) return;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const done = () => resolve();
  const timer = setTimeout(done, Math.min(milliseconds, 2 ** 31 - 1));
  signal.addEventListener('abort', done, { once: true });
  promise.then(done, done);
  try {
    await over;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', done);
  }
};
