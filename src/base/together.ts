/** Waits for all, whatever becomes of the others, and then throws the first failure: nothing goes on behind the caller's back. */
export const together = async (...work: readonly Promise<unknown>[]): Promise<void> => {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
};
