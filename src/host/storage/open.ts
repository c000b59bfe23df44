/**
 * Which storage an instance has, and how it comes up and goes: everything is below `<root>/storage`. A pool file is made at the
 * first use; after a reboot the same call attaches and mounts it again; while it is mounted, it only grows where a larger one is asked for.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { CenoteError, messageChain } from '../../base/errors.ts';
import { lockFile } from '../../sys/flock.ts';
import { BtrfsStorage } from './btrfs.ts';
import { DirectoryStorage } from './directory.ts';
import { queueOfDevice, shareAsBefore, shareByWeight } from './io-queue.ts';
import { deviceErase, deviceFormat, deviceRecorded } from './pool-device.ts';
import { poolFileCreate, poolFileFill, poolFileGrow } from './pool-file.ts';
import { mountedAt, poolMount, poolSpread, poolUnmount } from './pool-mount.ts';
import type { PoolSource } from './pool-mount.ts';
import type { Storage } from './storage.ts';

export interface StorageOptions {
  /** The instance's root directory. */
  root: string;
  driver: 'btrfs' | 'directory';
  /** Of the pool's file: one that is smaller grows. By default a new one has half of what the host has free. */
  sizeMib?: number | undefined;
  /** A block device for the pool, instead of a file. Kept in mind: later calls need not name it. */
  device?: string | undefined;
  logger: Logger;
}

const layout = (root: string) => {
  const base = join(root, 'storage');
  return {
    base,
    lock: join(base, 'lock'),
    file: join(base, 'pool.img'),
    record: join(base, 'device.json'),
    formerScheduler: join(base, 'scheduler.json'),
    mountPoint: join(base, 'pool'),
    directory: join(base, 'directory'),
  };
};

export const openStorage = async (options: StorageOptions): Promise<Storage> => {
  const places = layout(options.root);
  await mkdir(places.base, { recursive: true, mode: 0o700 });
  using _lock = await lockFile(places.lock);
  if (options.driver === 'directory') {
    if (existsSync(places.file) || existsSync(places.record)) throw otherDriver('btrfs', 'directory');
    return await DirectoryStorage.open(places.directory, options.sizeMib, options.logger);
  }
  if (existsSync(places.directory)) throw otherDriver('directory', 'btrfs');
  const device = options.device ?? (await deviceRecorded(places.record));
  if (device === null) {
    if (existsSync(places.file)) await poolFileFill(places.file, options.logger);
    else await poolFileCreate(places.file, options.sizeMib, options.logger);
    await poolMount({ kind: 'file', path: places.file }, places.mountPoint, options.logger);
    await grow({ kind: 'file', path: places.file }, places.mountPoint, options);
  } else {
    if (existsSync(places.file)) throw new CenoteError('wrong_state', `the storage pool is the file ${places.file} already; it cannot move to ${device}`);
    const path = await deviceFormat(device, places.record, options.logger);
    await poolMount({ kind: 'device', path }, places.mountPoint, options.logger);
    await grow({ kind: 'device', path }, places.mountPoint, options);
  }
  const queue = queueOfDevice(mountedAt(places.mountPoint)!.source);
  if (queue !== null) shareByWeight(queue, places.formerScheduler, options.logger);
  return await BtrfsStorage.open(places.mountPoint, queue?.number ?? null, options.logger);
};

/** A disk without room for it is no reason not to serve what there is. */
const grow = async (source: PoolSource, mountPoint: string, { sizeMib, logger }: StorageOptions): Promise<void> => {
  try {
    if (source.kind === 'file' && sizeMib !== undefined) await poolFileGrow(source.path, sizeMib, logger);
    await poolSpread(source, mountPoint);
  } catch (error) {
    logger.error({ path: source.path, sizeMib, error: messageChain(error) }, 'the storage pool could not grow; it is tried again at the next start');
  }
};

/** Everything of it is gone afterwards. `in_use` while a machine or a process still holds the pool; nothing is lost then. */
export const destroyStorage = async (options: { root: string; logger: Logger }): Promise<void> => {
  const places = layout(options.root);
  if (!existsSync(places.base)) return;
  using _lock = await lockFile(places.lock);
  await poolUnmount(places.mountPoint);
  shareAsBefore(places.formerScheduler);
  await deviceErase(places.record, options.logger);
  for (const name of await readdir(places.base)) {
    if (name !== 'lock') await rm(join(places.base, name), { recursive: true, force: true });
  }
  await rm(places.base, { recursive: true, force: true });
  options.logger.info({ root: options.root }, 'storage destroyed');
};

const otherDriver = (present: string, wanted: string): CenoteError =>
  new CenoteError('wrong_state', `this instance's storage is of driver ${present}; it cannot be opened as ${wanted}`, {
    advice: 'destroy the instance first, or keep its driver',
  });
