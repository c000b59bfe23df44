/**
 * The queue of the disk beneath the pool. Machines share the disk by weight only where its scheduler is bfq (or where the host's operator has
 * set up iocost), so a disk that is the pool's alone, a loop device above all, gets bfq; one that the host uses too is left as it is.
 */
import { existsSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { isErrno } from '../../base/errno.ts';

export interface IoQueue {
  /** `7:3`: how control groups name the whole disk. */
  number: string;
  /** The pool's alone. */
  isOwn: boolean;
  scheduler: string;
}

const sysPath = (number: string): string => `/sys/dev/block/${number}`;

const numberOf = (device: bigint): string => `${((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)}:${(device & 0xffn) | ((device >> 12n) & ~0xffn)}`;

const diskOf = (number: string): { number: string; isWhole: boolean } | null => {
  try {
    const path = realpathSync(sysPath(number));
    const own = ifThere(() => readFileSync(join(path, 'partition'), 'utf8'));
    return { number: own === null ? number : readFileSync(join(dirname(path), 'dev'), 'utf8').trim(), isWhole: own === null };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null; // not a disk: the file system has several, or none
    throw error;
  }
};

const queueOf = (number: string, isOwn: boolean): IoQueue | null => {
  const disk = diskOf(number);
  if (disk === null) return null;
  return { number: disk.number, isOwn: isOwn && disk.isWhole, scheduler: join(sysPath(disk.number), 'queue/scheduler') };
};

/** Of a block device that the pool is on. */
export const queueOfDevice = (path: string): IoQueue | null => queueOf(numberOf(statSync(path, { bigint: true }).rdev), true);

/** Of the disk that a directory lies on, which the host uses too. */
export const queueOfDirectory = (path: string): IoQueue | null => queueOf(numberOf(statSync(path, { bigint: true }).dev), false);

interface Former {
  number: string;
  scheduler: string;
}

/**
 * In sectors: what one machine may have of the disk before the next one's turn. bfq by itself allows what the disk does in an eighth of a second, some
 * 80 MiB here, and who reads little by little waited for that of each that writes: with equal weights it had a fifth of its reads beside two
 * such, now two thirds, for at most 6 % of what writers alone get (docs/benchmarks.md).
 */
const mostSectorsATurn = 512;

/** Makes bfq the scheduler of a disk of our own, and writes down what it was. Idempotent; a kernel without bfq is left with what it has. */
export const shareByWeight = (queue: IoQueue, record: string, logger: Logger): void => {
  if (!queue.isOwn) return;
  const scheduler = chosen(queue.scheduler);
  if (scheduler === null || (scheduler === 'bfq' && !existsSync(record))) return;
  try {
    if (scheduler !== 'bfq') {
      // Whole or not at all, whenever we are killed.
      writeFileSync(`${record}.new`, JSON.stringify({ number: queue.number, scheduler } satisfies Former), { mode: 0o600, flush: true });
      renameSync(`${record}.new`, record);
      writeFileSync(queue.scheduler, 'bfq');
    }
    const settings = join(dirname(queue.scheduler), 'iosched');
    // It would favour who has just begun over who has the greater weight.
    writeFileSync(join(settings, 'low_latency'), '0');
    writeFileSync(join(settings, 'max_budget'), String(mostSectorsATurn));
  } catch (error) {
    logger.info({ error: String(error), device: queue.number }, "the pool's disk is not shared by weight");
  }
};

/** Null when there is none. One that cannot be read (earlier versions could leave half of it) is as none: the disk keeps bfq, and destroying goes on. */
const formerOf = (record: string): Former | null => {
  const text = ifThere(() => readFileSync(record, 'utf8'));
  if (text === null) return null;
  try {
    const { number, scheduler } = JSON.parse(text) as Partial<Former>;
    return typeof number === 'string' && /^\d+:\d+$/.test(number) && typeof scheduler === 'string' ? { number, scheduler } : null;
  } catch {
    return null;
  }
};

/** Afterwards the disk is as it was found. */
export const shareAsBefore = (record: string): void => {
  const former = formerOf(record);
  if (former === null) return;
  const { number, scheduler } = former;
  const path = join(sysPath(number), 'queue/scheduler');
  if (chosen(path) === 'bfq') writeFileSync(path, scheduler);
};

const chosen = (scheduler: string): string | null => ifThere(() => /\[(\S+)\]/.exec(readFileSync(scheduler, 'utf8'))?.[1] ?? null);

const ifThere = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return null;
    throw error;
  }
};
