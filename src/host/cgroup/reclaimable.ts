/**
 * What a reclaim could take at all: what is on the kernel's lists of pages. Sockets' buffers, names of
 * files in memory and locked pages are on none; neither are names and files that nobody uses any more, but those go with the first attempt.
 */
import { ifPresent, readTable } from './files.ts';
import type { Reclaimed } from './pool-memory.ts';

export const nothingThere: Reclaimed = { freedBytes: 0, leftBytes: Infinity };

/** With the groups inside it, whose part v1 names with a prefix; null when it is gone. Files in memory are in the lists of what goes to swap. */
export const reclaimable = (group: string, prefix: 'total_' | ''): number | null => {
  const stat = ifPresent(() => readTable(group, 'memory.stat'));
  if (stat === null) return null;
  return ['active_anon', 'inactive_anon', 'active_file', 'inactive_file'].reduce((sum, list) => sum + (stat[`${prefix}${list}`] ?? 0), 0);
};
