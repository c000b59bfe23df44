/**
 * Mounting the pool and taking it away. A pool that is mounted stays so when the agent ends: machines' roots live on it. The same file is
 * never attached to two loop devices, which would be two file systems over one set of blocks.
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, open, statfs } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../base/logger.ts';
import { CenoteError } from '../../base/errors.ts';
import { closeFd, isErrno } from '../../sys/libc.ts';
import { fillDevice } from '../../sys/btrfs.ts';
import { loopAttach, loopFind, loopTakeSize } from '../../sys/loop.ts';
import { mountFlags, mountFs, unmountAsync } from '../../sys/mount.ts';
import { storageError } from './storage-error.ts';

const poolFlags = mountFlags.noSuid | mountFlags.noDev | mountFlags.noAtime;
const unmountAttempts = 20;
const unmountPauseMs = 100;
/** The file system leaves the end of its device that is less than a part of it. */
const leastGrowth = 16 * 1024 * 1024;

export interface PoolSource {
  /** A file (on a loop device) or a block device. */
  kind: 'file' | 'device';
  path: string;
}

/** Idempotent: what is mounted there already is left as it is. */
export const poolMount = async (source: PoolSource, mountPoint: string, logger: Logger): Promise<void> => {
  await mkdir(mountPoint, { recursive: true, mode: 0o700 });
  const mounted = mountedAt(mountPoint);
  if (mounted !== null) {
    if (mounted.type !== 'btrfs')
      throw new CenoteError('in_use', `${mountPoint} has a file system of type ${mounted.type} mounted; the storage pool belongs there`);
    return;
  }
  try {
    if (source.kind === 'device') mountFs(source.path, mountPoint, 'btrfs', poolFlags, null);
    else await mountFile(source.path, mountPoint);
  } catch (error) {
    throw storageError(`mount the storage pool ${source.path}`, error);
  }
  await chmod(mountPoint, 0o700);
  logger.info({ source: source.path, mountPoint }, 'storage pool mounted');
};

const mountFile = async (path: string, mountPoint: string): Promise<void> => {
  const device = loopFind(path) ?? (await attach(path));
  try {
    // A trim of this file system, ours or the host's weekly one, would punch holes into the file.
    refuseDiscard(basename(device.path));
    mountFs(device.path, mountPoint, 'btrfs', poolFlags, 'nodiscard');
  } finally {
    closeFd(device.fd);
  }
};

const attach = async (path: string) => {
  await using file = await open(path, 'r+');
  return loopAttach(file.fd, path);
};

const refuseDiscard = (device: string): void => {
  try {
    writeFileSync(`/sys/block/${device}/queue/discard_max_bytes`, '0');
  } catch (error) {
    if (!isErrno(error, 'EROFS', 'EACCES', 'EPERM', 'ENOENT', 'EINVAL')) throw error;
  }
};

/**
 * Device and file system take in what the pool's file, or its device, has become; machines go on. Each is asked what it has, so that what a crash
 * left between two of them is finished by the next call.
 */
export const poolSpread = async (source: PoolSource, mountPoint: string): Promise<void> => {
  if (source.kind === 'file') spreadOverFile(source.path);
  const sectors = Number(readFileSync(`/sys/class/block/${basename(realpathSync(mountedAt(mountPoint)!.source))}/size`, 'utf8'));
  const { blocks, bsize } = await statfs(mountPoint);
  if (sectors * 512 - blocks * bsize < leastGrowth) return;
  await using directory = await open(mountPoint, 'r');
  await fillDevice(directory.fd);
};

const spreadOverFile = (path: string): void => {
  const device = loopFind(path);
  if (device === null) return;
  try {
    loopTakeSize(device);
  } finally {
    closeFd(device.fd);
  }
};

/** Waits a little for those who are just leaving; what still holds it then is `in_use`. The loop device detaches itself. */
export const poolUnmount = async (mountPoint: string): Promise<void> => {
  for (let attempt = 1; mountedAt(mountPoint) !== null; attempt += 1) {
    try {
      await unmountAsync(mountPoint);
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw storageError(`unmount the storage pool ${mountPoint}`, error);
      if (attempt >= unmountAttempts) throw new CenoteError('in_use', `the storage pool ${mountPoint} is still used by a process or a mount`, { cause: error });
      await sleep(unmountPauseMs);
    }
  }
};

/** What is on top at a mount point; null when nothing is mounted there. */
export const mountedAt = (mountPoint: string): { type: string; source: string } | null => {
  const wanted = existingPath(mountPoint);
  if (wanted === null) return null;
  let found: { type: string; source: string } | null = null;
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined || unescapePath(before.split(' ')[4] ?? '') !== wanted) continue;
    const [type, source] = after.split(' ');
    found = { type: type!, source: unescapePath(source ?? '') };
  }
  return found;
};

const existingPath = (path: string): string | null => {
  try {
    return realpathSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

const unescapePath = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
