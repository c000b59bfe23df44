/**
 * A mounted btrfs pool: its directories, held open, and what volumes and trees have in common. A subvolume is made in `staging` and
 * moved to its place when it is whole; what is found in `staging` when the pool is opened was left by a crash and is removed.
 *
 *   volumes/<id>            a volume: upper/ work/ and the link `group`, the number of its quota group
 *   snapshots/<id>/<name>   its snapshots, read-only
 *   trees/<kind>/<id>       sealed trees, read-only
 *   staging/                what is being made or was replaced
 */
import { closeSync, constants, openSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { mibOfBytes } from '../../base/units.ts';
import {
  commitMetadata,
  fileSystemUuid,
  subvolumeDestroy,
  subvolumeDestroyById,
  subvolumeInfo,
  subvolumeIsReadOnly,
  subvolumeSetReadOnly,
} from '../../sys/btrfs.ts';
import { quotaEnable } from '../../sys/btrfs-quota.ts';
import { subvolumesInside } from '../../sys/btrfs-search.ts';
import { syncFileSystem } from '../../sys/files.ts';
import { isErrno } from '../../sys/libc.ts';
import { GroupCommit } from './group-commit.ts';
import { QuotaGroups, quotaMode } from './quota-groups.ts';
import type { Capacity, CommitScope } from './storage.ts';
import { Sweeper } from './sweeper.ts';

const placeNames = ['volumes', 'snapshots', 'staging', 'trees/image', 'trees/platform'] as const;
const treePlaces = ['trees/image', 'trees/platform'] as const satisfies Place[];
export type Place = (typeof placeNames)[number];
/** Of the disk, for the file system's own trees, which it writes twice: what it has taken for them already, or this much, where that is more. */
const fileSystemShare = 1 / 16;
const ownKinds = ['metadata', 'system'] as const;

export class BtrfsPool {
  readonly root: string;
  readonly fd: number;
  readonly groups: QuotaGroups;
  /** What the kernel tells of it. */
  readonly #told: string;
  readonly #places: Record<Place, number>;
  readonly #commits: Record<CommitScope, GroupCommit>;
  readonly #logger: Logger;
  readonly #sweeper: Sweeper;
  #promisableMib = 0;
  #staged = 0;
  #closed = false;

  private constructor(root: string, fd: number, places: Record<Place, number>, logger: Logger) {
    this.root = root;
    this.fd = fd;
    this.#places = places;
    this.#logger = logger;
    const uuid = fileSystemUuid(fd);
    this.#told = `/sys/fs/btrfs/${uuid}`;
    this.groups = new QuotaGroups(fd, uuid);
    this.#commits = { all: new GroupCommit(() => syncFileSystem(fd)), names: new GroupCommit(() => commitMetadata(fd)) };
    this.#sweeper = new Sweeper(() => this.groups.sweep(), logger);
  }

  /** Of a mounted pool; enables quotas on a new one, and clears away what a crash left. */
  static async open(root: string, logger: Logger): Promise<BtrfsPool> {
    const fd = openSync(root, 'r');
    try {
      if (quotaMode(fileSystemUuid(fd)) === null) await quotaEnable(fd);
      const places = {} as Record<Place, number>;
      for (const name of placeNames) {
        await mkdir(join(root, name), { recursive: true, mode: 0o700 });
        places[name] = openSync(join(root, name), 'r');
      }
      const pool = new BtrfsPool(root, fd, places, logger);
      await pool.#clearStaging();
      await pool.#sealTrees();
      await pool.countTrees();
      pool.sweepSoon();
      return pool;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  placeFd(place: Place): number {
    return this.#places[place];
  }

  path(place: Place, ...names: string[]): string {
    return join(this.root, place, ...names);
  }

  /** A name in `staging` that nobody else has. */
  stagingName(of: string): string {
    this.#staged += 1;
    return `${of}.${this.#staged}`;
  }

  commit(scope: CommitScope = 'all'): Promise<void> {
    return this.#commits[scope].commit();
  }

  async capacity(): Promise<Capacity> {
    const { blocks, bavail, bsize } = await statfs(this.root);
    return { totalMib: Math.floor(mibOfBytes(blocks * bsize)), usedMib: mibOfBytes((blocks - bavail) * bsize) };
  }

  /** A tree has come or gone. */
  async countTrees(): Promise<void> {
    const { totalMib } = await this.capacity();
    const ownMib = Math.max(totalMib * fileSystemShare, mibOfBytes(await this.#ownBytes()));
    this.#promisableMib = Math.max(0, Math.floor(totalMib - ownMib - mibOfBytes(await this.#treeBytes())));
  }

  /** On a small disk much more than a sixteenth: half a GiB of three. No file can have it. */
  async #ownBytes(): Promise<number> {
    const taken = await Promise.all(ownKinds.map((kind) => readFile(join(this.#told, 'allocation', kind, 'disk_total'), 'utf8')));
    return taken.reduce((sum, text) => sum + Number(text), 0);
  }

  get promisableMib(): number {
    return this.#promisableMib;
  }

  async #treeBytes(): Promise<number> {
    let bytes = 0;
    for (const kind of treePlaces) {
      for (const id of await readdir(this.path(kind))) {
        bytes += await withDirectory(this.path(kind, id), async (fd) => this.groups.referenced(subvolumeInfo(fd).id)).catch(() => 0); // deleted meanwhile
      }
    }
    return bytes;
  }

  /** Deletes a subvolume with whatever subvolumes are inside; what is gone is fine. */
  discard(place: Place, name: string): Promise<void> {
    return this.discardIn(this.placeFd(place), this.path(place), name);
  }

  async discardIn(parentFd: number, parentPath: string, name: string): Promise<void> {
    try {
      await subvolumeDestroy(parentFd, name);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      if (!isErrno(error, 'ENOTEMPTY')) throw error;
      const id = await withDirectory(join(parentPath, name), async (fd) => subvolumeInfo(fd).id);
      for (const inner of await subvolumesInside(this.fd, id)) await subvolumeDestroyById(this.fd, inner);
      await subvolumeDestroy(parentFd, name);
    }
    this.sweepSoon();
  }

  async #clearStaging(): Promise<void> {
    for (const name of await readdir(this.path('staging'))) {
      this.#logger.info({ name }, 'removing what a crash left in staging');
      await this.discard('staging', name).catch(async (error: unknown) => {
        if (!isErrno(error, 'EINVAL', 'ENOTDIR')) throw error; // not a subvolume
        await rm(this.path('staging', name), { recursive: true, force: true });
      });
    }
  }

  /** A tree gets its place first and becomes read-only then; a crash may have come in between. */
  async #sealTrees(): Promise<void> {
    for (const kind of treePlaces) {
      for (const id of await readdir(this.path(kind))) {
        await withDirectory(this.path(kind, id), async (fd) => {
          if (!subvolumeIsReadOnly(fd)) await subvolumeSetReadOnly(fd, true);
        });
      }
    }
  }

  /** Something was deleted: what the kernel still holds of it is taken away when it lets go. */
  sweepSoon(): void {
    this.#sweeper.poke();
  }

  /** The pool stays mounted. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#sweeper.close();
    for (const fd of Object.values(this.#places)) closeSync(fd);
    closeSync(this.fd);
  }
}

const openDirectory = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);

export const withDirectory = async <Result>(path: string, use: (fd: number) => Promise<Result>): Promise<Result> => {
  const fd = openDirectory(path);
  try {
    return await use(fd);
  } finally {
    closeSync(fd);
  }
};
