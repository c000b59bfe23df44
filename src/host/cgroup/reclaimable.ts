/** What reclaim could take from a group at all: what is on the kernel's lists of pages. Sockets' buffers, names of files in use and locked pages are on none. */
import { ifPresent, readTable } from './files.ts';
import type { Reclaimed } from './pool-memory.ts';

export const nothingThere: Reclaimed = { freedBytes: 0, leftBytes: 0 };

/** With the groups inside it, whose part v1 names with a prefix. Files in memory are in the lists of what goes to swap. */
export const reclaimable = (group: string, prefix: 'total_' | '', maySwap: boolean): number => {
  const stat = ifPresent(() => readTable(group, 'memory.stat')) ?? {};
  const listed = (kind: 'anon' | 'file') => (stat[`${prefix}active_${kind}`] ?? 0) + (stat[`${prefix}inactive_${kind}`] ?? 0);
  return listed('file') + (maySwap ? listed('anon') : 0);
};
