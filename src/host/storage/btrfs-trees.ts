/** Images and platforms on a btrfs pool: filled in staging, moved to their place when all of it is on disk, read-only from then on. */
import { existsSync } from 'node:fs';
import { readdir, rename } from 'node:fs/promises';
import { subvolumeCreate, subvolumeSetReadOnly } from '../../sys/btrfs.ts';
import { CenoteError } from '../../base/errors.ts';
import type { BtrfsPool } from './btrfs-pool.ts';
import { withDirectory } from './btrfs-pool.ts';
import { checkTreeId } from './names.ts';
import { step } from './storage-error.ts';
import type { TreeKind } from './storage.ts';

export class BtrfsTrees {
  readonly #pool: BtrfsPool;

  constructor(pool: BtrfsPool) {
    this.#pool = pool;
  }

  path(kind: TreeKind, id: string): string {
    return this.#pool.path(`trees/${kind}`, checkTreeId(id));
  }

  /** Empty, also when an earlier attempt left something. */
  stage(kind: TreeKind, id: string): Promise<string> {
    return step(`stage ${kind} ${id}`, async () => {
      await this.#pool.discard('staging', stagingName(kind, id));
      await subvolumeCreate(this.#pool.placeFd('staging'), stagingName(kind, id));
      return this.#pool.path('staging', stagingName(kind, id));
    });
  }

  /** A sealed tree is never replaced: what was staged under its name again is dropped. */
  seal(kind: TreeKind, id: string): Promise<void> {
    return step(`seal ${kind} ${id}`, async () => {
      const staged = this.#pool.path('staging', stagingName(kind, id));
      if (existsSync(this.path(kind, id))) return this.#pool.discard('staging', stagingName(kind, id));
      if (!existsSync(staged)) throw new CenoteError('not_found', `there is no staged ${kind} ${id}`);
      await this.#pool.commit();
      // A read-only subvolume cannot be moved, so it gets its place first; `open` finishes what a crash interrupts here.
      await rename(staged, this.path(kind, id));
      await withDirectory(this.path(kind, id), (fd) => subvolumeSetReadOnly(fd, true));
      await this.#pool.countTrees();
    });
  }

  delete(kind: TreeKind, id: string): Promise<void> {
    return step(`delete ${kind} ${id}`, async () => {
      await this.#pool.discard('staging', stagingName(kind, id));
      await this.#pool.discard(`trees/${kind}`, id);
      await this.#pool.countTrees();
    });
  }

  list(kind: TreeKind): Promise<string[]> {
    return readdir(this.#pool.path(`trees/${kind}`));
  }
}

const stagingName = (kind: TreeKind, id: string): string => `${kind}.${checkTreeId(id)}`;
