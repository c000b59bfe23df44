/**
 * A block device as the pool. It is recognised by the UUID that is written down before it is formatted, so that a crash in between is
 * repaired, and a device that carries anything else is refused.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { CenoteError, invalid } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import { isErrno } from '../../sys/libc.ts';
import { formatPool, syncDirectory } from './pool-file.ts';

const superblock = 65_536;
/** The copies of the superblock, as far as a device may be long. */
const superblocks = [superblock, 64 * 1024 * 1024, 256 * 1024 * 1024 * 1024];
const superblockSize = 4096;
const magic = '_BHRfS_M';

interface DeviceRecord {
  device: string;
  uuid: string;
  /** It was the pool once: it is never formatted again, whatever is found under its name. */
  formatted: boolean;
}

export const deviceRecorded = async (record: string): Promise<string | null> => (await readRecord(record))?.device ?? null;

/** Idempotent: a device that is this pool is left as it is. The result is the device's name of today. */
export const deviceFormat = async (device: string, record: string, logger: Logger): Promise<string> => {
  const known = await readRecord(record);
  if (known?.formatted === true) return findFormatted(device, known);
  if (known !== null && known.device !== device) throw new CenoteError('wrong_state', `the storage pool is on ${known.device}; ${device} is another device`);
  const found = await stat(device).catch(() => null);
  if (!device.startsWith('/') || found === null || !found.isBlockDevice()) throw invalid('device', `${device} is not a block device`);
  const uuid = known?.uuid ?? randomUUID();
  if ((await uuidOn(device)) !== uuid) {
    await writeRecord(record, { device, uuid, formatted: false });
    logger.info({ device, uuid }, 'formatting the storage pool');
    await formatPool(device, uuid);
  }
  await writeRecord(record, { device, uuid, formatted: true });
  return device;
};

/** Names of disks change from one start of a host to the next; the file system's UUID does not. */
const findFormatted = async (device: string, known: DeviceRecord): Promise<string> => {
  for (const path of [device, known.device, `/dev/disk/by-uuid/${known.uuid}`]) {
    if ((await uuidOn(path).catch(() => null)) === known.uuid) return path;
  }
  throw new CenoteError('unavailable', `the storage pool's disk is not there: no device has the file system ${known.uuid} (it was ${known.device})`);
};

/** Only a device that is this pool: its superblocks are wiped, so that it can be given to something else. */
export const deviceErase = async (record: string, logger: Logger): Promise<void> => {
  const known = await readRecord(record);
  if (known === null) return;
  const device = await findFormatted(known.device, known).catch(() => null);
  if (device === null) return;
  await using file = await open(device, 'r+');
  for (const place of superblocks) await file.write(Buffer.alloc(superblockSize), 0, superblockSize, place).catch(pastTheEnd);
  await file.sync();
  logger.info({ device }, 'storage pool erased from its device');
};

const uuidOn = async (device: string): Promise<string | null> => {
  await using file = await open(device, 'r');
  const block = Buffer.alloc(superblockSize);
  await file.read(block, 0, superblockSize, superblock);
  if (block.toString('latin1', 64, 72) !== magic) return null;
  const hex = block.toString('hex', 32, 48);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};

const readRecord = async (path: string): Promise<DeviceRecord | null> => {
  try {
    const { device, uuid, formatted } = JSON.parse(await readFile(path, 'utf8')) as Partial<DeviceRecord>;
    if (typeof device !== 'string' || typeof uuid !== 'string' || !isUuid(uuid)) throw new CenoteError('failed', `${path} is damaged`);
    return { device, uuid, formatted: formatted === true };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

const writeRecord = async (path: string, record: DeviceRecord): Promise<void> => {
  const partial = `${path}.partial`;
  await writeFile(partial, JSON.stringify(record), { mode: 0o600, flush: true });
  await rename(partial, path);
  await syncDirectory(dirname(path));
};

const pastTheEnd = (error: unknown): void => {
  if (!isErrno(error, 'ENOSPC', 'EINVAL', 'EFBIG')) throw error;
};
