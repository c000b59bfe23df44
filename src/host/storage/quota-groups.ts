/**
 * One level-1 quota group for each volume: every subvolume that ever was the volume or one of its snapshots is a member, and the limit
 * is on the group. The kernel bills an extent to the subvolume that wrote it, also after that one is deleted, so only the group's
 * sum is true (linux.md 4.7). A group's number is never used twice while the kernel knows it.
 *
 * What a delete leaves behind (groups of dropped subvolumes, and of volumes whose bytes a clone still holds) cannot be removed at once:
 * `sweep` takes away what the kernel lets go, and is repeated until nothing is left.
 */
import { closeSync, existsSync, openSync, readFileSync, readSync, readdirSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { isErrno } from '../../sys/libc.ts';
import { qgroupId, startCommit } from '../../sys/btrfs.ts';
import { qgroupCreate, qgroupLimit, qgroupRemove } from '../../sys/btrfs-quota.ts';
import { subvolumesAll } from '../../sys/btrfs-search.ts';
import { bytesOfMib, mibOfBytes } from '../../base/units.ts';

const firstSubvolume = 256n;
const mostRefusals = 200;
/** So far ahead of the numbers in use that no group can have come there meanwhile. */
const neverUsed = 1n << 32n;

export interface GroupUsage {
  /** Referenced and on disk, bytes. */
  settled: number;
  /** Written, and on its way to the disk. */
  coming: number;
  /** Set aside for what the file system must note until its next commit: a quarter MiB for each new file, whatever becomes of it. */
  noting: number;
}

/** What the kernel counts of a group, as long as it is held open; all 0 of one that is gone. */
export class GroupNumbers implements Disposable {
  readonly #opened: DisposableStack;
  readonly #files: Record<'referenced' | 'rsv_data' | 'rsv_meta_pertrans' | 'rsv_meta_prealloc', number | null>;

  constructor(directory: string) {
    using opened = new DisposableStack();
    const open = (file: string) => openIfThere(`${directory}/${file}`, opened);
    this.#files = {
      referenced: open('referenced'),
      rsv_data: open('rsv_data'),
      rsv_meta_pertrans: open('rsv_meta_pertrans'),
      rsv_meta_prealloc: open('rsv_meta_prealloc'),
    };
    this.#opened = opened.move();
  }

  usage(): GroupUsage {
    const { referenced, rsv_data, rsv_meta_pertrans, rsv_meta_prealloc } = this.#files;
    return { settled: numberIn(referenced), coming: numberIn(rsv_data), noting: numberIn(rsv_meta_pertrans) + numberIn(rsv_meta_prealloc) };
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }
}

/** Of a number and a line's end; between a read and what is made of it nobody else reads. */
const numberBuffer = Buffer.alloc(32);

const openIfThere = (path: string, opened: DisposableStack): number | null => {
  try {
    return opened.adopt(openSync(path, 'r'), closeSync);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

/** ENODEV: its group went after it was opened. */
const numberIn = (fd: number | null): number => {
  if (fd === null) return 0;
  try {
    return Number(numberBuffer.toString('latin1', 0, readSync(fd, numberBuffer, 0, numberBuffer.length, 0)));
  } catch (error) {
    if (isErrno(error, 'ENODEV')) return 0;
    throw error;
  }
};

export class QuotaGroups {
  readonly mode: 'squota' | 'qgroup';
  readonly #poolFd: number;
  readonly #directory: string;
  readonly #live = new Set<bigint>();
  #next: bigint;

  constructor(poolFd: number, uuid: string) {
    this.#poolFd = poolFd;
    this.#directory = `/sys/fs/btrfs/${uuid}/qgroups`;
    this.mode = quotaMode(uuid) === 'squota' ? 'squota' : 'qgroup';
    if (this.mode === 'qgroup') keepAccounting(this.#directory);
    this.#next = this.#numbers(1).reduce((largest, number) => (number >= largest ? number + 1n : largest), 1n);
  }

  /** Makes a group with its limit; it counts as live until `release`. */
  async create(quotaMib: number): Promise<bigint> {
    const number = this.#next;
    this.#next += 1n;
    this.#live.add(number);
    try {
      await qgroupCreate(this.#poolFd, qgroupId(1, number));
      await this.limit(number, quotaMib);
    } catch (error) {
      this.#live.delete(number);
      throw error;
    }
    return number;
  }

  /** A volume found on disk has this number. */
  adopt(number: bigint): void {
    this.#live.add(number);
    if (number >= this.#next) this.#next = number + 1n;
  }

  release(number: bigint): void {
    this.#live.delete(number);
  }

  async limit(number: bigint, quotaMib: number): Promise<void> {
    await qgroupLimit(this.#poolFd, qgroupId(1, number), BigInt(bytesOfMib(quotaMib)));
  }

  exists(number: bigint): boolean {
    return existsSync(`${this.#directory}/1_${number}`);
  }

  quotaMib(number: bigint): number | null {
    const bytes = this.#read(`1_${number}`, 'max_referenced');
    return bytes === 0 ? null : Math.round(mibOfBytes(bytes));
  }

  usage(number: bigint): GroupUsage {
    using numbers = this.open(number);
    return numbers.usage();
  }

  /** For who asks more than once: to open one of the kernel's files takes four times as long as to read it. */
  open(number: bigint): GroupNumbers {
    return new GroupNumbers(`${this.#directory}/1_${number}`);
  }

  /** Bytes billed to one subvolume. */
  referenced(subvolume: bigint): number {
    return this.#read(`0_${subvolume}`, 'referenced');
  }

  /** Removes what belongs to nothing any more. True when the kernel still holds something back. */
  async sweep(): Promise<boolean> {
    // First the groups, then the subvolumes: one made in between is in the second list only.
    const names = await readdir(this.#directory);
    const subvolumes = await subvolumesAll(this.#poolFd);
    const dropped = groupNumbers(names, 0).filter((number) => number >= firstSubvolume && !subvolumes.ids.has(number));
    const retired = groupNumbers(names, 1).filter((number) => !this.#live.has(number));
    const heldBack = [await this.#removeAll(0, dropped), await this.#removeAll(1, retired), subvolumes.dying > 0].includes(true);
    if (heldBack) await this.#hurryCleaner();
    return heldBack;
  }

  /** A commit in the background makes the kernel drop deleted subvolumes now, not half a minute later; it needs a transaction, which an attempt in vain begins. */
  async #hurryCleaner(): Promise<void> {
    await this.#tryRemove(qgroupId(1, this.#next + neverUsed));
    await startCommit(this.#poolFd);
  }

  /** After a mass delete thousands are held back until the kernel has dropped their subvolumes: it is not asked about each of them. */
  async #removeAll(level: number, numbers: bigint[]): Promise<boolean> {
    let refused = 0;
    for (const number of fromRandomPlace(numbers)) {
      if (!(await this.#tryRemove(qgroupId(level, number)))) refused += 1;
      if (refused >= mostRefusals) break;
    }
    return refused > 0;
  }

  async #tryRemove(group: bigint): Promise<boolean> {
    try {
      await qgroupRemove(this.#poolFd, group);
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return true;
      if (isErrno(error, 'EBUSY', 'EAGAIN')) return false;
      throw error;
    }
  }

  #numbers(level: number): bigint[] {
    return groupNumbers(readdirSync(this.#directory), level);
  }

  #read(group: string, file: string): number {
    try {
      return Number(readFileSync(`${this.#directory}/${group}/${file}`, 'utf8'));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 0;
      throw error;
    }
  }
}

/** Full quotas of Linux 6.1 to 6.6 give up counting when a large subvolume is deleted, unless told not to; after a mount they are told again. */
const keepAccounting = (directory: string): void => {
  if (existsSync(`${directory}/drop_subtree_threshold`)) writeFileSync(`${directory}/drop_subtree_threshold`, '8');
};

/** Of names such as `1_257`. */
const groupNumbers = (names: string[], level: number): bigint[] => {
  const prefix = `${level}_`;
  return names.filter((name) => name.startsWith(prefix)).map((name) => BigInt(name.slice(prefix.length)));
};

/** So that a few that stay for long do not keep the others from their turn. */
const fromRandomPlace = <Item>(list: Item[]): Item[] => {
  const start = Math.floor(Math.random() * list.length);
  return [...list.slice(start), ...list.slice(0, start)];
};

/** `squota`, `qgroup`, or null when quotas are off. */
export const quotaMode = (uuid: string): string | null => {
  const directory = `/sys/fs/btrfs/${uuid}/qgroups`;
  if (!existsSync(directory)) return null;
  if (!existsSync(`${directory}/mode`)) return 'qgroup';
  return readFileSync(`${directory}/mode`, 'utf8').trim();
};
