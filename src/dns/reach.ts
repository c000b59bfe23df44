/**
 * From where an address is reached: an asker is told what it can reach, by the shortest way. To a stranger's network the same numbers may mean
 * somebody else, so an address that it cannot reach is worse than none.
 */

export interface Reach {
  /** Networks by which it is reached directly. */
  on: readonly string[];
  /** Whether from all others too. */
  everywhere: boolean;
  /** Whoever asks by one of these is told other addresses of the same machine instead. */
  instead: readonly string[];
  /** The same text for the same reach. */
  key: string;
}

export interface Asker {
  /** The network by which it asks. */
  by: string;
  /** All networks that it is known to be on. */
  on: ReadonlySet<string>;
}

export const reachOf = (on: readonly string[], everywhere: boolean, instead: readonly string[]): Reach => ({
  on,
  everywhere,
  instead,
  key: `${everywhere ? '*' : ''}${on.join('+')}-${instead.join('+')}`,
});

/** Nothing that depends on who asks, or nobody of whom it is known: all is told. */
export const reaches = (asker: Asker | undefined, reach: Reach | undefined): boolean => {
  if (asker === undefined || reach === undefined || reach.on.includes(asker.by)) return true;
  return !reach.instead.includes(asker.by) && (reach.everywhere || reach.on.some((network) => asker.on.has(network)));
};
