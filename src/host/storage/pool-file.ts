/**
 * The pool's file: every block of it is allocated, because a sparse one loses acknowledged data when the disk under it fills. It
 * appears under its name only when it is whole and carries a file system, so what has the name is never formatted again.
 */
import { open, rename, rm, statfs, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { CenoteError } from '../../base/errors.ts';
import { bytesOfMib, formatMib, mibOfBytes } from '../../base/units.ts';
import { run } from '../../exec/run.ts';
import { disableCopyOnWrite, preallocate } from '../../sys/files.ts';
import { isErrno } from '../../sys/libc.ts';

const smallestPoolMib = 512;
const largestDefaultMib = 1024 * 1024;
const zeroChunk = 4 * 1024 * 1024;
export const poolLabel = 'cenote';

/** What the host keeps for itself: a twentieth of its disk, at least 1 GiB and at most 32. */
export const hostReserveMib = (totalMib: number): number => Math.min(32 * 1024, Math.max(1024, totalMib / 20));

/** Makes the file with a file system in it. `sizeMib` left out: half of what the host has free. */
export const poolFileCreate = async (path: string, sizeMib: number | undefined, logger: Logger): Promise<void> => {
  const size = await affordableMib(dirname(path), sizeMib);
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  try {
    await using file = await open(partial, 'wx', 0o600);
    disableCopyOnWrite(file.fd);
    logger.info({ path, sizeMib: size }, 'allocating the storage pool');
    if (!(await preallocate(file.fd, bytesOfMib(size)))) await writeZeros(file, 0, bytesOfMib(size));
    await formatPool(partial, undefined);
    await file.sync();
    await rename(partial, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    if (isErrno(error, 'ENOSPC', 'EDQUOT'))
      throw new CenoteError('not_enough', `the host's disk has no room for a storage pool of ${formatMib(size)}`, { cause: error });
    throw error;
  }
};

/** Makes the file larger, with every block of it allocated, also while it is in use. It is as it was where the disk has no room. */
export const poolFileGrow = async (path: string, sizeMib: number, logger: Logger): Promise<void> => {
  const { size: before } = await stat(path);
  const wanted = bytesOfMib(sizeMib);
  if (before >= wanted) return;
  await affordableMib(dirname(path), Math.ceil(mibOfBytes(wanted - before)), 0);
  logger.info({ path, sizeMib }, 'the storage pool grows');
  await using file = await open(path, 'r+');
  try {
    if (!(await preallocate(file.fd, wanted))) await writeZeros(file, before, wanted);
    await file.sync();
  } catch (error) {
    await file.truncate(before);
    throw error;
  }
};

/** Fills holes that something (a trim, a copy that made it sparse) has put into the file; nothing when there are none. */
export const poolFileFill = async (path: string, logger: Logger): Promise<void> => {
  const { size, blocks } = await stat(path);
  if (blocks * 512 >= size) return;
  logger.warn({ path, missingMib: Math.ceil(mibOfBytes(size - blocks * 512)) }, 'the storage pool has holes: allocating them');
  await using file = await open(path, 'r+');
  try {
    await preallocate(file.fd, size);
  } catch (error) {
    // Refusing to start would help nobody: the machines' data is there, and doctor names the danger.
    logger.error({ path, error }, 'the storage pool stays sparse: data is lost when the disk of this host fills up');
  }
};

/** No discard while formatting: it would punch out the blocks just allocated. */
export const formatPool = async (target: string, uuid: string | undefined): Promise<void> => {
  await run('mkfs.btrfs', ['-q', '-K', '-L', poolLabel, ...(uuid === undefined ? [] : ['-U', uuid]), target], { timeoutMs: 300_000 });
};

const affordableMib = async (directory: string, wanted: number | undefined, leastMib = smallestPoolMib): Promise<number> => {
  const host = await statfs(directory);
  const freeMib = Math.floor(mibOfBytes(host.bavail * host.bsize));
  const spareMib = Math.floor(freeMib - hostReserveMib(mibOfBytes(host.blocks * host.bsize)));
  const size = wanted ?? Math.min(largestDefaultMib, Math.floor(Math.min(freeMib / 2, spareMib)));
  if (wanted !== undefined && (!Number.isInteger(wanted) || wanted < leastMib)) {
    throw new CenoteError('invalid_argument', `a storage pool of ${wanted} MiB is less than the smallest possible, ${formatMib(smallestPoolMib)}`, {
      fields: [{ field: 'sizeMib', message: 'too small' }],
    });
  }
  if (size > spareMib || size < leastMib) {
    throw new CenoteError(
      'not_enough',
      `the host can spare ${formatMib(Math.max(0, spareMib))} of ${formatMib(freeMib)} free disk; the storage pool needs ${formatMib(Math.max(size, leastMib))}`,
    );
  }
  return size;
};

const writeZeros = async (file: FileHandle, from: number, to: number): Promise<void> => {
  const zeros = Buffer.alloc(zeroChunk);
  for (let at = from; at < to; at += zeroChunk) await file.write(zeros, 0, Math.min(zeroChunk, to - at), at);
};

export const syncDirectory = async (path: string): Promise<void> => {
  await using directory = await open(path, 'r');
  await directory.sync();
};
