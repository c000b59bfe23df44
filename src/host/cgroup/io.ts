/**
 * Disk I/O of a machine: its share by weight and its limits, on the one disk that the pool is on. What of it holds depends on the kernel
 * and on the disk's scheduler; `unsupportedIo` says what does not, so that it can be refused.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Resources, Unsupported } from '../../model/resources.ts';
import type { Change } from './change.ts';
import { ifPresent } from './files.ts';

export interface IoDisk {
  /** `7:3`. */
  number: string;
  /** Which mechanism shares it by weight; null where none does. */
  weights: 'bfq' | 'iocost' | null;
}

/** `group`: one of ours in the tree of the controller. `tree`: mount point of the v2 hierarchy, where iocost is set up. */
export const lookAtDisk = (number: string | null, group: string, tree: string | null): IoDisk | null => {
  if (number === null) return null;
  const scheduler = ifPresent(() => readFileSync(`/sys/dev/block/${number}/queue/scheduler`, 'utf8')) ?? '';
  // A kernel may have bfq and not its weights for groups.
  const hasWeights = ['blkio.bfq.weight', 'io.bfq.weight'].some((file) => existsSync(join(group, file)));
  if (scheduler.includes('[bfq]') && hasWeights) return { number, weights: 'bfq' };
  const iocost = tree === null ? null : ifPresent(() => readFileSync(join(tree, 'io.cost.qos'), 'utf8'));
  const isOn = iocost?.split('\n').some((line) => line.startsWith(`${number} `) && line.includes('enable=1')) === true;
  return { number, weights: isOn ? 'iocost' : null };
};

const limitFields = ['ioReadMibps', 'ioWriteMibps', 'ioReadIops', 'ioWriteIops'] as const;

/** `hasController`: the kernel has the io (v2) or blkio (v1) controller for our groups. */
export const unsupportedIo = (disk: IoDisk | null, layout: 'v1' | 'v2', hasController: boolean): Unsupported[] => {
  const all = (fields: readonly string[], reason: string): Unsupported[] => fields.map((field) => ({ field, reason }));
  if (!hasController) return all(['ioWeight', ...limitFields], `this kernel has no ${layout === 'v2' ? 'io' : 'blkio'} controller for control groups`);
  if (disk === null) return all(['ioWeight', ...limitFields], "the machines' files are not on a single disk, to which shares and limits could apply");
  return [
    ...(disk.weights === null
      ? all(['ioWeight'], `disk ${disk.number} is not shared by weight: its scheduler is not bfq${layout === 'v2' ? ' and iocost is off' : ''}`)
      : []),
    // A held-back writer holds what all of a file system's syncs wait for: measured, a neighbour's fsync took ten times as long. On v2 the
    // kernel writes a file system's own blocks on nobody's account, so that only the machine itself waits.
    ...(layout === 'v1' ? all(['ioWriteMibps', 'ioWriteIops'], "with cgroup v1 a machine whose writes are limited would hold up its neighbours' too") : []),
  ];
};

export const hasSameIo = (one: Resources, other: Resources): boolean =>
  one.ioWeight === other.ioWeight && limitFields.every((field) => one[field] === other[field]);

const bytes = (mibps: number | null): number | null => (mibps === null ? null : mibps * 2 ** 20);

/** v1: one file for each limit, in which a disk without one does not appear, and 0 takes it away. */
export const putIoV1 = (change: Change, group: string, disk: IoDisk, resources: Resources): void => {
  const { files } = change;
  const limits = { read_bps_device: bytes(resources.ioReadMibps), read_iops_device: resources.ioReadIops };
  for (const [name, limit] of Object.entries(limits)) {
    const file = `blkio.throttle.${name}`;
    const former = lineOf(files.read(group, file), disk.number) ?? `${disk.number} 0`;
    change.put(group, file, `${disk.number} ${limit ?? 0}`, former);
  }
  if (disk.weights === 'bfq') change.put(group, 'blkio.bfq.weight', resources.ioWeight);
};

export const putIoV2 = (change: Change, group: string, disk: IoDisk, resources: Resources): void => {
  const { files } = change;
  const limits = { rbps: bytes(resources.ioReadMibps), wbps: bytes(resources.ioWriteMibps), riops: resources.ioReadIops, wiops: resources.ioWriteIops };
  const line = (values: Record<string, number | null>): string =>
    `${disk.number} ${Object.entries(values)
      .map(([name, limit]) => `${name}=${limit ?? 'max'}`)
      .join(' ')}`;
  change.put(group, 'io.max', line(limits), lineOf(files.read(group, 'io.max'), disk.number) ?? line({ rbps: null, wbps: null, riops: null, wiops: null }));
  const file = { bfq: 'io.bfq.weight', iocost: 'io.weight' }[disk.weights ?? 'bfq'];
  if (disk.weights !== null) change.put(group, file, resources.ioWeight, /^(?:default )?(\d+)/.exec(files.read(group, file))?.[1] ?? 100);
};

export const noTraffic = { readBytes: 0, writtenBytes: 0 } as const;

/** Bytes read and written so far, as `blkio.throttle.io_service_bytes` has it. */
export const trafficV1 = (text: string, disk: IoDisk): { readBytes: number; writtenBytes: number } => {
  const of = (what: string) => Number(new RegExp(`^${disk.number} ${what} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { readBytes: of('Read'), writtenBytes: of('Write') };
};

/** The same of `io.stat`. */
export const trafficV2 = (text: string, disk: IoDisk): { readBytes: number; writtenBytes: number } => {
  const line = lineOf(text, disk.number) ?? '';
  const of = (what: string) => Number(new RegExp(` ${what}=(\\d+)`).exec(line)?.[1] ?? 0);
  return { readBytes: of('rbytes'), writtenBytes: of('wbytes') };
};

const lineOf = (text: string, number: string): string | undefined => text.split('\n').find((line) => line.startsWith(`${number} `));
