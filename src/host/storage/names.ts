/** Names that become names on disk. The callers have checked them already; a path is made only of what passes here again. */
import { invalid } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import { snapshotNamePattern } from '../../model/names.ts';

const treeIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.@+-]{0,127}$/;
const snapshotName = new RegExp(snapshotNamePattern);

export const checkVolumeId = (id: string): string => {
  if (!isUuid(id)) throw invalid('volume', `${JSON.stringify(id.slice(0, 80))} is not an id`);
  return id;
};

export const checkTreeId = (id: string): string => {
  if (!treeIdPattern.test(id)) throw invalid('tree', `${JSON.stringify(id.slice(0, 80))} is not a name for a tree`);
  return id;
};

export const checkSnapshot = (name: string): string => {
  if (!snapshotName.test(name) || /^\.+$/.test(name)) throw invalid('snapshot', `${JSON.stringify(name.slice(0, 80))} is not a valid snapshot name`);
  return name;
};

export const checkQuota = (quotaMib: number): number => {
  if (!Number.isInteger(quotaMib) || quotaMib < smallestQuotaMib)
    throw invalid('disk', `a quota of ${quotaMib} MiB is less than the smallest possible, ${smallestQuotaMib} MiB`);
  return quotaMib;
};

/** Below this a file system's own bookkeeping leaves no room for anything. */
export const smallestQuotaMib = 16;
