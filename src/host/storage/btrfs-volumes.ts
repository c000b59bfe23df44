/**
 * Volumes and their snapshots on a btrfs pool. A volume's quota group is named by the link `group` in its directory, and what it shares with
 * those it was copied from by the link `inherited`: a link is metadata, so it is on disk whenever the directory is, and a snapshot carries it.
 *
 * Simple quotas bill an extent to who wrote it, for good. So a copy's group may write only what its quota has beyond what it inherited: else
 * a copy of a copy of a deleted volume would hold many times its quota. How much of its origin a snapshot holds they cannot tell, so
 * it counts as all that the origin is billed.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readlink, rename, rm, rmdir, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { CenoteError } from '../../base/errors.ts';
import { bytesOfMib, formatMib, mibOfBytes } from '../../base/units.ts';
import { qgroupId, subvolumeCreate, subvolumeInfo, subvolumeSnapshot } from '../../sys/btrfs.ts';
import { quotaRescan } from '../../sys/btrfs-quota.ts';
import { renameExchange } from '../../sys/files.ts';
import { isErrno } from '../../sys/libc.ts';
import { withDirectory } from './btrfs-pool.ts';
import type { BtrfsPool } from './btrfs-pool.ts';
import { checkQuota, checkSnapshot, checkVolumeId } from './names.ts';
import { snapshotSizes } from './snapshot-size.ts';
import { step } from './storage-error.ts';
import type { VolumeSnapshot, VolumeUsage } from './storage.ts';

/** What a file system needs beyond its data to go on: at the very limit even making a file smaller is refused. */
export const shrinkMarginMib = 8;

interface Volume {
  group: bigint;
  quotaMib: number;
  /** Of `quotaMib`, for what others have written. */
  inheritedMib: number;
}

/** For what the kernel writes when it mounts a full volume: a directory, and what it notes until its next commit. */
const mountRoomMib = 4;

export interface VolumeOptions {
  quotaMib: number;
  from?: { volume: string; snapshot: string } | undefined;
}

export class BtrfsVolumes {
  readonly #pool: BtrfsPool;
  readonly #logger: Logger;
  readonly #volumes = new Map<string, Volume>();

  constructor(pool: BtrfsPool, logger: Logger) {
    this.#pool = pool;
    this.#logger = logger;
  }

  /** What is on disk, with the numbers of the groups. */
  async load(): Promise<void> {
    for (const id of await readdir(this.#pool.path('volumes'))) {
      const group = BigInt(await readlink(this.#pool.path('volumes', id, 'group')));
      this.#pool.groups.adopt(group);
      const inheritedMib = await inheritedBy(this.#pool.path('volumes', id));
      const ownMib = this.#pool.groups.quotaMib(group);
      if (ownMib === null) this.#logger.error({ volume: id, group: String(group) }, 'a volume has no quota: resize it to give it one');
      this.#volumes.set(id, { group, quotaMib: ownMib === null ? 0 : ownMib + inheritedMib, inheritedMib });
    }
  }

  path(id: string): string {
    return this.#pool.path('volumes', checkVolumeId(id));
  }

  create(id: string, options: VolumeOptions): Promise<void> {
    return step(`create volume ${id}`, async () => {
      checkVolumeId(id);
      checkQuota(options.quotaMib);
      const existing = this.#volumes.get(id);
      if (existing !== undefined) return this.#setLimit(existing, options.quotaMib);
      await using undo = new AsyncDisposableStack();
      const inheritedMib = options.from === undefined ? 0 : await this.#inheritance(options.from, options.quotaMib);
      const group = await this.#pool.groups.create(options.quotaMib - inheritedMib);
      undo.defer(() => {
        this.#pool.groups.release(group);
        this.#pool.sweepSoon();
      });
      const name = this.#pool.stagingName(id);
      undo.defer(() => this.#pool.discard('staging', name));
      if (options.from === undefined) await this.#stageEmpty(name, group);
      else await this.#stageCopy(name, group, options.from, inheritedMib);
      await rename(this.#pool.path('staging', name), this.path(id));
      undo.move();
      this.#volumes.set(id, { group, quotaMib: options.quotaMib, inheritedMib });
    });
  }

  /** MiB of its quota that a copy is not billed for; refuses a quota that has no room for it. */
  async #inheritance(from: { volume: string; snapshot: string }, quotaMib: number): Promise<number> {
    const { groups } = this.#pool;
    return this.#withSnapshot(from.volume, from.snapshot, async (fd) => {
      // Full quotas bill the copy for what it shares.
      const isBilled = groups.mode === 'qgroup';
      const { settled, coming } = groups.usage(this.#get(from.volume).group);
      const sharedMib = isBilled
        ? mibOfBytes(groups.referenced(subvolumeInfo(fd).id))
        : Math.ceil(mibOfBytes(settled + coming)) + (await inheritedBy(this.#pool.path('snapshots', from.volume, from.snapshot)));
      if (sharedMib + shrinkMarginMib > quotaMib) throw tooSmall(quotaMib, sharedMib);
      return isBilled ? 0 : sharedMib;
    });
  }

  async #stageEmpty(name: string, group: bigint): Promise<void> {
    await subvolumeCreate(this.#pool.placeFd('staging'), name, { group: qgroupId(1, group) });
    const path = this.#pool.path('staging', name);
    await Promise.all([
      mkdir(join(path, 'upper'), { mode: 0o755 }),
      mkdir(join(path, 'work'), { mode: 0o700 }),
      mkdir(join(path, 'empty'), { mode: 0o555 }),
      symlink(String(group), join(path, 'group')),
    ]);
  }

  async #stageCopy(name: string, group: bigint, from: { volume: string; snapshot: string }, inheritedMib: number): Promise<void> {
    const path = this.#pool.path('staging', name);
    await this.#withSnapshot(from.volume, from.snapshot, (fd) =>
      subvolumeSnapshot(fd, this.#pool.placeFd('staging'), name, { readOnly: false, group: qgroupId(1, group) }),
    );
    await emptyWork(path);
    await unlink(join(path, 'group'));
    await symlink(String(group), join(path, 'group'));
    await rm(join(path, 'inherited'), { force: true });
    if (inheritedMib > 0) await symlink(String(inheritedMib), join(path, 'inherited'));
    if (this.#pool.groups.mode === 'qgroup') await quotaRescan(this.#pool.fd);
  }

  delete(id: string): Promise<void> {
    return step(`delete volume ${id}`, async () => {
      await this.#pool.discard('volumes', checkVolumeId(id));
      for (const name of await this.snapshotNames(id)) await this.#withSnapshots(id, (fd) => this.#pool.discardIn(fd, this.#pool.path('snapshots', id), name));
      await rmdir(this.#pool.path('snapshots', id)).catch(ignoreMissing);
      const volume = this.#volumes.get(id);
      if (volume !== undefined) this.#pool.groups.release(volume.group);
      this.#volumes.delete(id);
      this.#pool.sweepSoon();
    });
  }

  /** Also what a crash left of a delete: snapshots without their volume. */
  async list(): Promise<string[]> {
    const [volumes, snapshots] = await Promise.all([readdir(this.#pool.path('volumes')), readdir(this.#pool.path('snapshots'))]);
    return [...new Set([...volumes, ...snapshots])];
  }

  resize(id: string, quotaMib: number): Promise<void> {
    return step(`resize volume ${id}`, async () => {
      checkQuota(quotaMib);
      const volume = this.#get(id);
      const before = volume.quotaMib;
      if (quotaMib >= before && before > 0) return this.#setLimit(volume, quotaMib);
      using numbers = this.#pool.groups.open(volume.group);
      const fits = (): boolean => {
        const { settled, coming, noting } = numbers.usage();
        return settled + coming + noting + bytesOfMib(volume.inheritedMib + shrinkMarginMib) <= bytesOfMib(quotaMib);
      };
      if (!fits()) {
        // What is reserved counts twice while it is on its way; a commit settles it.
        await this.#pool.commit();
        if (!fits()) throw tooSmall(quotaMib, this.usage(id).usedMib);
      }
      await this.#setLimit(volume, quotaMib);
      if (fits()) return;
      // The machine wrote between the question and the limit.
      if (before > 0) await this.#setLimit(volume, before);
      throw tooSmall(quotaMib, this.usage(id).usedMib);
    });
  }

  usage(id: string): VolumeUsage {
    const { group, inheritedMib, quotaMib } = this.#get(id);
    const { settled, coming } = this.#pool.groups.usage(group);
    return { usedMib: mibOfBytes(settled + coming) + inheritedMib, quotaMib };
  }

  /** Its group's limit is as before when `work` is done, also where that has used some of the room. */
  async withRoom<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const volume = this.#get(id);
    const { group, inheritedMib } = volume;
    const { settled, coming, noting } = this.#pool.groups.usage(group);
    const usedMib = Math.ceil(mibOfBytes(settled + coming + noting));
    await this.#pool.groups.limit(group, Math.max(volume.quotaMib - inheritedMib, usedMib) + mountRoomMib);
    try {
      return await work();
    } finally {
      await this.#setLimit(volume, volume.quotaMib);
    }
  }

  snapshotCreate(id: string, name: string): Promise<void> {
    return step(`snapshot ${name} of volume ${id}`, async () => {
      checkSnapshot(name);
      const { group } = this.#get(id);
      if (existsSync(this.#pool.path('snapshots', id, name))) return;
      await mkdir(this.#pool.path('snapshots', id), { mode: 0o700 }).catch(ignoreExisting);
      await this.#withSnapshots(id, (directory) =>
        withDirectory(this.path(id), (fd) => subvolumeSnapshot(fd, directory, name, { readOnly: true, group: qgroupId(1, group) })),
      );
    });
  }

  snapshotList(id: string): Promise<VolumeSnapshot[]> {
    return step(`list snapshots of volume ${id}`, async () => {
      const names = await this.snapshotNames(id);
      if (names.length === 0) return [];
      const sizes = await snapshotSizes(this.path(id), this.#pool.path('snapshots', id), names);
      const infos = await Promise.all(names.map((name) => this.#withSnapshot(id, name, async (fd) => ({ name, info: subvolumeInfo(fd) }))));
      return infos
        .sort((one, other) => Number(one.info.createdIn - other.info.createdIn))
        .map(({ name, info }) => ({ name, createdAt: info.createdAt.toISOString(), sizeMib: mibOfBytes(sizes.get(name) ?? 0) }));
    });
  }

  async snapshotNames(id: string): Promise<string[]> {
    try {
      return await readdir(this.#pool.path('snapshots', checkVolumeId(id)));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  }

  snapshotDelete(id: string, name: string): Promise<void> {
    return step(`delete snapshot ${name} of volume ${id}`, async () => {
      checkSnapshot(name);
      if (!existsSync(this.#pool.path('snapshots', checkVolumeId(id), name))) return;
      await this.#withSnapshots(id, (fd) => this.#pool.discardIn(fd, this.#pool.path('snapshots', id), name));
      await rmdir(this.#pool.path('snapshots', id)).catch(ignoreMissing);
    });
  }

  snapshotRollback(id: string, name: string): Promise<void> {
    return step(`roll volume ${id} back to ${name}`, async () => {
      const { group } = this.#get(id);
      const staged = this.#pool.stagingName(id);
      const staging = this.#pool.placeFd('staging');
      await using undo = new AsyncDisposableStack();
      undo.defer(() => this.#pool.discard('staging', staged));
      await this.#withSnapshot(id, name, (fd) => subvolumeSnapshot(fd, staging, staged, { readOnly: false, group: qgroupId(1, group) }));
      await emptyWork(this.#pool.path('staging', staged));
      await renameExchange(staging, staged, this.#pool.placeFd('volumes'), id);
      // Under the staged name is the old content now: the same step removes either.
    });
  }

  #get(id: string): Volume {
    const volume = this.#volumes.get(checkVolumeId(id));
    if (volume === undefined) throw new CenoteError('not_found', `there is no volume ${id}`);
    return volume;
  }

  async #setLimit(volume: Volume, quotaMib: number): Promise<void> {
    await this.#pool.groups.limit(volume.group, Math.max(1, quotaMib - volume.inheritedMib));
    volume.quotaMib = quotaMib;
  }

  #withSnapshots<Result>(id: string, use: (fd: number) => Promise<Result>): Promise<Result> {
    return withDirectory(this.#pool.path('snapshots', checkVolumeId(id)), use);
  }

  async #withSnapshot<Result>(id: string, name: string, use: (fd: number) => Promise<Result>): Promise<Result> {
    const path = this.#pool.path('snapshots', checkVolumeId(id), checkSnapshot(name));
    if (!existsSync(path)) throw new CenoteError('not_found', `there is no snapshot ${name} of volume ${id}`);
    return withDirectory(path, use);
  }
}

const tooSmall = (quotaMib: number, usedMib: number): CenoteError =>
  new CenoteError(
    'not_enough',
    `a quota of ${formatMib(quotaMib)} is too small: ${Math.ceil(usedMib)}M are used, and ${shrinkMarginMib}M more must stay free`,
    {
      fields: [{ field: 'disk', message: `at least ${Math.ceil(usedMib) + shrinkMarginMib}M` }],
      advice: 'delete files and snapshots first, or leave it larger',
    },
  );

const inheritedBy = async (path: string): Promise<number> => {
  try {
    return Number(await readlink(join(path, 'inherited')));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
};

/** Only what is in it: making the directory anew would need room that a full volume does not have. */
const emptyWork = async (path: string): Promise<void> => {
  const work = join(path, 'work');
  for (const name of await readdir(work)) await rm(join(work, name), { recursive: true, force: true });
};

const ignoreMissing = (error: unknown): void => {
  if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
};

const ignoreExisting = (error: unknown): void => {
  if (!isErrno(error, 'EEXIST')) throw error;
};
