/** How large the pool's file is, and on what: it is preallocated, so it must leave the host room to live. */
import { readFileSync, statSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { CenoteError, invalid } from '../base/errors.ts';
import { formatMib, mibOfBytes } from '../base/units.ts';
import { hostReserveMib } from '../host/storage/pool-file.ts';
import type { InstanceConfig } from '../model/instance.ts';
import { fileSystems, loadableModules } from './host-view.ts';

export const leastMib = 512;
const mostByDefaultMib = 64 * 1024;

export interface PoolRequest {
  poolSizeMib?: number | undefined;
  device?: string | undefined;
}

/** Of the disk beneath a root: what is free, and what of that the host keeps (the agent holds to the same). */
export interface DiskRoom {
  freeMib: number;
  keptMib: number;
}

type StorageConfig = InstanceConfig['storage'];

/** What exists stays as it is; a larger size asked for is written down, and the agent grows the pool to it. */
export const choosePool = (request: PoolRequest, existing: StorageConfig | null, room: DiskRoom, btrfs: boolean): StorageConfig => {
  const device = existing === null ? request.device : existing.device;
  if (request.poolSizeMib !== undefined && typeof device === 'string')
    throw invalid(
      '--pool-size',
      `the pool is all of ${device}`,
      'it grows with the device: make that larger, then `cenote down` and `cenote up`; machines run on',
    );
  if (existing !== null) {
    if (request.device !== undefined && request.device !== existing.device)
      throw new CenoteError('wrong_state', `the pool is on ${existing.device ?? 'a file'} already`, {
        fields: [{ field: '--device', message: 'cannot be changed' }],
        advice: 'a pool moves only with its instance: destroy it and run `cenote up` again',
      });
    const wanted = request.poolSizeMib ?? existing.poolSizeMib;
    if (wanted < existing.poolSizeMib) throw invalid('--pool-size', `the pool has ${formatMib(existing.poolSizeMib)} and cannot become smaller`);
    checkFits(wanted - existing.poolSizeMib, room, wanted);
    return { ...existing, poolSizeMib: wanted };
  }
  if (request.device !== undefined) return { driver: 'btrfs', device: request.device, poolSizeMib: request.poolSizeMib ?? leastMib };
  const driver = btrfs ? 'btrfs' : 'directory';
  if (request.poolSizeMib !== undefined) {
    if (request.poolSizeMib < leastMib) throw invalid('--pool-size', `${formatMib(request.poolSizeMib)} is too small: at least ${formatMib(leastMib)}`);
    checkFits(request.poolSizeMib, room, request.poolSizeMib);
    return { driver, device: null, poolSizeMib: request.poolSizeMib };
  }
  const { freeMib, keptMib } = room;
  const spare = Math.min(Math.floor(freeMib / 2), freeMib - keptMib, mostByDefaultMib);
  if (spare < leastMib)
    throw new CenoteError(
      'not_enough',
      `${formatMib(Math.max(0, freeMib))} of disk are free; a pool needs ${formatMib(leastMib)} and leaves ${formatMib(keptMib)} to the host`,
      { advice: 'make room, or choose another root directory: cenote --root DIR up' },
    );
  return { driver, device: null, poolSizeMib: spare };
};

const checkFits = (moreMib: number, { freeMib, keptMib }: DiskRoom, wanted: number): void => {
  if (moreMib > 0 && moreMib > freeMib - keptMib)
    throw new CenoteError(
      'not_enough',
      `a pool of ${formatMib(wanted)} needs ${formatMib(moreMib)} more; ${formatMib(freeMib)} are free and ${formatMib(keptMib)} of them are left to the host`,
      { fields: [{ field: '--pool-size', message: 'too large' }] },
    );
};

export const diskRoomAt = (path: string): DiskRoom => {
  const { bavail, bsize, blocks } = statfsSync(path);
  return { freeMib: Math.floor(mibOfBytes(bavail * bsize)), keptMib: Math.ceil(hostReserveMib(mibOfBytes(blocks * bsize))) };
};

export const hasBtrfs = (): boolean => [...fileSystems(), ...loadableModules(release())].includes('btrfs');

/** A device that is in use must never be made into a pool. */
export const checkDevice = (device: string): void => {
  if (!/^\/dev\/[A-Za-z0-9_./-]{1,80}$/.test(device)) throw invalid('--device', `${JSON.stringify(device.slice(0, 100))} is not a path in /dev`);
  if (!statSync(device, { throwIfNoEntry: false })?.isBlockDevice()) throw invalid('--device', `${device} is not a block device`);
  const used =
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${device} `)) || readFileSync('/proc/swaps', 'utf8').includes(`${device} `);
  if (used) throw new CenoteError('in_use', `${device} is in use on this host`, { fields: [{ field: '--device', message: 'in use' }] });
};
