/**
 * The plain-directory driver: works on any file system that overlay accepts as an upper, and says what it cannot do. It keeps no quota,
 * so a volume's usage has no limit beside it.
 */
import { existsSync } from 'node:fs';
import { lstat, mkdir, open, opendir, readdir, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { CenoteError } from '../../base/errors.ts';
import { mibOfBytes } from '../../base/units.ts';
import type { StorageFeatures } from '../../model/agent-api.ts';
import { syncFileSystem } from '../../sys/files.ts';
import { isErrno } from '../../sys/libc.ts';
import { GroupCommit } from './group-commit.ts';
import { queueOfDirectory } from './io-queue.ts';
import { checkQuota, checkVolumeId } from './names.ts';
import { PlainTrees } from './plain-trees.ts';
import { step } from './storage-error.ts';
import type { Capacity, Storage, TreeKind, VolumeUsage } from './storage.ts';

const overlayType = 0x794c7630;
/** A walk stops here: the answer is then the least that is used. */
const mostEntries = 200_000;
/** Nothing is enforced here, so this is only a bound on what may be written down. */
const hostShare = 1 / 16;

export class DirectoryStorage implements Storage {
  readonly features: StorageFeatures = {
    driver: 'directory',
    quota: 'none',
    snapshots: false,
    lacks: [
      "disk quotas: a machine can fill the host's disk",
      'snapshots, rollback and copies of machines',
      'read-only trees: images are protected by agreement only',
    ],
  };
  readonly device: string | null;
  readonly #root: string;
  readonly #handle: FileHandle;
  readonly #trees: PlainTrees;
  readonly #commits: GroupCommit;
  #promisableMib = 0;

  private constructor(root: string, handle: FileHandle) {
    this.#root = root;
    this.device = queueOfDirectory(root)?.number ?? null;
    this.#handle = handle;
    this.#trees = new PlainTrees(root);
    this.#commits = new GroupCommit(() => syncFileSystem(handle.fd));
  }

  /** `sizeMib` is the most that its volumes may come to, where the disk beneath has that. */
  static async open(root: string, sizeMib: number | undefined, logger: Logger): Promise<DirectoryStorage> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    if ((await statfs(root)).type === overlayType)
      throw new CenoteError('unsupported', `${root} is on an overlay, which cannot carry another: put the instance's root on a real file system`);
    const storage = new DirectoryStorage(root, await open(root, 'r'));
    await storage.#trees.open();
    const { totalMib } = await storage.capacity();
    storage.#promisableMib = Math.floor(Math.min(sizeMib ?? Infinity, totalMib * (1 - hostShare)));
    logger.warn({ lacks: storage.features.lacks }, 'storage is plain directories');
    return storage;
  }

  volumeCreate(id: string, options: { quotaMib: number; from?: { volume: string; snapshot: string } | undefined }): Promise<void> {
    return step(`create volume ${id}`, async () => {
      checkQuota(options.quotaMib);
      if (options.from !== undefined) throw this.#lacks('copies of snapshots');
      await mkdir(join(this.volumePath(id), 'upper'), { recursive: true, mode: 0o755 });
      await mkdir(join(this.volumePath(id), 'work'), { recursive: true, mode: 0o700 });
      await mkdir(join(this.volumePath(id), 'empty'), { recursive: true, mode: 0o555 });
    });
  }

  volumePath(id: string): string {
    return join(this.#root, 'volumes', checkVolumeId(id));
  }

  volumeDelete(id: string): Promise<void> {
    return step(`delete volume ${id}`, () => this.#trees.discard(this.volumePath(id)));
  }

  async volumeResize(id: string): Promise<void> {
    this.#existing(id);
    throw this.#lacks('quotas');
  }

  volumeUsage(id: string): Promise<VolumeUsage> {
    return step(`measure volume ${id}`, async () => ({ usedMib: mibOfBytes(await usedBytes(this.#existing(id))), quotaMib: null }));
  }

  volumeList(): Promise<string[]> {
    return readdir(join(this.#root, 'volumes'));
  }

  async snapshotCreate(): Promise<void> {
    throw this.#lacks('snapshots');
  }

  async snapshotList(): Promise<[]> {
    return [];
  }

  async snapshotNames(): Promise<[]> {
    return [];
  }

  async snapshotDelete(): Promise<void> {
    throw this.#lacks('snapshots');
  }

  async snapshotRollback(): Promise<void> {
    throw this.#lacks('snapshots');
  }

  treeStage(kind: TreeKind, id: string): Promise<string> {
    return step(`stage ${kind} ${id}`, () => this.#trees.stage(kind, id));
  }

  treeSeal(kind: TreeKind, id: string): Promise<void> {
    return step(`seal ${kind} ${id}`, async () => {
      await this.commit();
      await this.#trees.seal(kind, id);
    });
  }

  treePath(kind: TreeKind, id: string): string {
    return this.#trees.path(kind, id);
  }

  treeDelete(kind: TreeKind, id: string): Promise<void> {
    return step(`delete ${kind} ${id}`, () => this.#trees.delete(kind, id));
  }

  treeList(kind: TreeKind): Promise<string[]> {
    return this.#trees.list(kind);
  }

  commit(): Promise<void> {
    return this.#commits.commit();
  }

  async capacity(): Promise<Capacity> {
    const { blocks, bavail, bsize } = await statfs(this.#root);
    return { totalMib: Math.floor(mibOfBytes(blocks * bsize)), usedMib: mibOfBytes((blocks - bavail) * bsize) };
  }

  get promisableMib(): number {
    return this.#promisableMib;
  }

  withRoom<Result>(_id: string, work: () => Promise<Result>): Promise<Result> {
    return work();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #existing(id: string): string {
    if (!existsSync(this.volumePath(id))) throw new CenoteError('not_found', `there is no volume ${id}`);
    return this.volumePath(id);
  }

  #lacks(what: string): CenoteError {
    return new CenoteError('unsupported', `storage in plain directories has no ${what}`, { advice: 'an instance with the btrfs driver has them' });
  }
}

const usedBytes = async (path: string): Promise<number> => {
  let bytes = 0;
  let entries = 0;
  const pending = [path];
  for (let directory = pending.pop(); directory !== undefined && entries < mostEntries; directory = pending.pop()) {
    try {
      for await (const entry of await opendir(directory)) {
        entries += 1;
        const child = join(directory, entry.name);
        bytes += (await lstat(child)).blocks * 512;
        if (entry.isDirectory()) pending.push(child);
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error; // the machine removed it while we looked
    }
  }
  return bytes;
};
