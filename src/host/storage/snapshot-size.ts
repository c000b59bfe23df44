/**
 * How much data each snapshot of a volume holds alone: extents that neither the volume nor another of its snapshots refers to. Simple
 * quotas do not know it (they bill who wrote), so the extents are read from the subvolumes' own trees.
 */
import { join } from 'node:path';
import { subvolumeExtents } from '../../sys/btrfs-search.ts';
import { isErrno } from '../../sys/libc.ts';
import { withDirectory } from './btrfs-pool.ts';

/** Beyond this the answer costs more than it is worth, and is 0. */
const mostExtents = 500_000;

/** Bytes by snapshot name. */
export const snapshotSizes = async (volumePath: string, snapshotsPath: string, names: string[]): Promise<Map<string, number>> => {
  const holders = new Map<bigint, { name: string | null; bytes: number }>();
  let left = mostExtents;
  for (const name of [null, ...names]) {
    const extents = await extentsOf(name === null ? volumePath : join(snapshotsPath, name), left);
    if (extents === null) return new Map();
    left -= extents.size;
    for (const [place, bytes] of extents) holders.set(place, { name: holders.has(place) ? null : name, bytes });
  }
  const sizes = new Map<string, number>();
  for (const { name, bytes } of holders.values()) if (name !== null) sizes.set(name, (sizes.get(name) ?? 0) + bytes);
  return sizes;
};

const extentsOf = async (path: string, limit: number): Promise<Map<bigint, number> | null> => {
  try {
    return await withDirectory(path, (fd) => subvolumeExtents(fd, limit));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return new Map(); // deleted meanwhile
    throw error;
  }
};
