/** What the storage tests share: roots of their own, opened pools, and a way to fill one. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { destroyStorage, openStorage } from '../../src/host/storage/open.ts';
import { isQuotaExceeded } from '../../src/host/storage/storage-error.ts';
import type { Storage } from '../../src/host/storage/storage.ts';
import { fileSystemUuid } from '../../src/sys/btrfs.ts';

export const logger = createLogger({ name: 'test', level: 'silent' });
export const mib = 1024 * 1024;
export const poolMib = 768;
export const chunk = Buffer.alloc(mib, 'cenote');
export const skip = process.getuid?.() === 0 ? false : 'needs root';

const roots: string[] = [];
export const newRoot = (): string => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-storage-'));
  roots.push(root);
  return root;
};
export const opened: Storage[] = [];
export const open = async (root: string): Promise<Storage> => {
  const storage = await openStorage({ root, driver: 'btrfs', sizeMib: poolMib, logger });
  opened.push(storage);
  return storage;
};
export const pool = (root: string, ...names: string[]): string => join(root, 'storage', 'pool', ...names);
export const poolFile = (root: string): string => join(root, 'storage', 'pool.img');

/** Writes until it is refused; the result is how many MiB went in, and why it ended. */
export const fill = (path: string, mostMib: number): { mib: number; code: string } => {
  const fd = openSync(path, 'a');
  try {
    for (let written = 0; written < mostMib; written += 1) {
      try {
        writeSync(fd, chunk);
      } catch (error) {
        return { mib: written, code: isQuotaExceeded(error) ? 'EDQUOT' : (error as NodeJS.ErrnoException).code! };
      }
    }
    return { mib: mostMib, code: '' };
  } finally {
    closeSync(fd);
  }
};

export const groupNames = (root: string): string[] => {
  const fd = openSync(pool(root), 'r');
  try {
    return readdirSync(`/sys/fs/btrfs/${fileSystemUuid(fd)}/qgroups`).filter((name) => /^\d/.test(name));
  } finally {
    closeSync(fd);
  }
};

/** Everything these tests opened and made is gone afterwards. */
export const cleanUp = async () => {
  for (const one of opened) await one.close();
  const destroyed = await Promise.allSettled(roots.map((root) => destroyStorage({ root, logger })));
  for (const [index, result] of destroyed.entries()) if (result.status === 'fulfilled') rmSync(roots[index]!, { recursive: true, force: true });
  assert.deepEqual(
    destroyed.filter(({ status }) => status === 'rejected'),
    [],
  );
};
