/**
 * A storage for tests of what is above it: plain directories, snapshots as copies, quotas as numbers that nothing enforces but
 * `volumeResize`. Needs no privilege. What is on disk survives `close` and another `open`, as the real ones'.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { mibOfBytes } from '../../base/units.ts';
import type { StorageFeatures } from '../../model/agent-api.ts';
import { checkQuota, checkSnapshot, checkVolumeId } from './names.ts';
import { PlainTrees } from './plain-trees.ts';
import type { Capacity, Storage, TreeKind, VolumeSnapshot, VolumeUsage } from './storage.ts';

const copyOptions = { recursive: true, verbatimSymlinks: true, preserveTimestamps: true } as const;
const fakeTotalMib = 1024 * 1024;

export class FakeStorage implements Storage {
  readonly device = null;
  readonly features: StorageFeatures = { driver: 'fake', quota: 'squota', snapshots: true, lacks: [] };
  readonly #root: string;
  readonly #trees: PlainTrees;

  private constructor(root: string) {
    this.#root = root;
    this.#trees = new PlainTrees(root);
  }

  static async open(root: string): Promise<FakeStorage> {
    const storage = new FakeStorage(root);
    await storage.#trees.open();
    await mkdir(join(root, 'snapshots'), { recursive: true });
    return storage;
  }

  async volumeCreate(id: string, options: { quotaMib: number; from?: { volume: string; snapshot: string } | undefined }): Promise<void> {
    checkQuota(options.quotaMib);
    if (!existsSync(this.volumePath(id))) {
      const staged = join(this.#root, 'staging', id);
      await rm(staged, { recursive: true, force: true });
      if (options.from === undefined) await mkdir(join(staged, 'upper'), { recursive: true });
      else await cp(this.#snapshot(options.from.volume, options.from.snapshot), staged, copyOptions);
      await rm(join(staged, 'work'), { recursive: true, force: true });
      await mkdir(join(staged, 'work'));
      await mkdir(join(staged, 'empty'), { recursive: true });
      await rename(staged, this.volumePath(id));
    }
    await writeFile(join(this.volumePath(id), 'quota'), String(options.quotaMib));
  }

  volumePath(id: string): string {
    return join(this.#root, 'volumes', checkVolumeId(id));
  }

  async volumeDelete(id: string): Promise<void> {
    await this.#trees.discard(this.volumePath(id));
    await rm(join(this.#root, 'snapshots', id), { recursive: true, force: true });
  }

  async volumeResize(id: string, quotaMib: number): Promise<void> {
    checkQuota(quotaMib);
    const { usedMib } = await this.volumeUsage(id);
    if (usedMib > quotaMib)
      throw new CenoteError('not_enough', `a quota of ${quotaMib} MiB is too small: ${Math.ceil(usedMib)} MiB are used`, {
        fields: [{ field: 'disk', message: `at least ${Math.ceil(usedMib)} MiB` }],
      });
    await writeFile(join(this.volumePath(id), 'quota'), String(quotaMib));
  }

  async volumeUsage(id: string): Promise<VolumeUsage> {
    if (!existsSync(this.volumePath(id))) throw new CenoteError('not_found', `there is no volume ${id}`);
    return {
      usedMib: mibOfBytes(await bytesBelow(join(this.volumePath(id), 'upper'))),
      quotaMib: Number(await readFile(join(this.volumePath(id), 'quota'), 'utf8')),
    };
  }

  async volumeList(): Promise<string[]> {
    const [volumes, snapshots] = await Promise.all([readdir(join(this.#root, 'volumes')), readdir(join(this.#root, 'snapshots'))]);
    return [...new Set([...volumes, ...snapshots])];
  }

  async snapshotCreate(volume: string, name: string): Promise<void> {
    const target = join(this.#root, 'snapshots', checkVolumeId(volume), checkSnapshot(name));
    if (existsSync(target)) return;
    if (!existsSync(this.volumePath(volume))) throw new CenoteError('not_found', `there is no volume ${volume}`);
    await cp(this.volumePath(volume), target, copyOptions);
    // Finer than the file system's own clock, by which two snapshots of one moment would be of the same age.
    await writeFile(join(target, 'order'), String(process.hrtime.bigint()));
  }

  async snapshotList(volume: string): Promise<VolumeSnapshot[]> {
    const directory = join(this.#root, 'snapshots', checkVolumeId(volume));
    if (!existsSync(directory)) return [];
    const listed = await Promise.all(
      (await readdir(directory)).map(async (name) => ({
        name,
        order: BigInt(await readFile(join(directory, name, 'order'), 'utf8')),
        born: (await stat(join(directory, name))).birthtime,
        bytes: await bytesBelow(join(directory, name, 'upper')),
      })),
    );
    return listed
      .sort((one, other) => Number(one.order - other.order))
      .map(({ name, born, bytes }) => ({ name, createdAt: born.toISOString(), sizeMib: mibOfBytes(bytes) }));
  }

  async snapshotNames(volume: string): Promise<string[]> {
    const directory = join(this.#root, 'snapshots', checkVolumeId(volume));
    return existsSync(directory) ? readdir(directory) : [];
  }

  async snapshotDelete(volume: string, name: string): Promise<void> {
    await rm(join(this.#root, 'snapshots', checkVolumeId(volume), checkSnapshot(name)), { recursive: true, force: true });
  }

  async snapshotRollback(volume: string, name: string): Promise<void> {
    const snapshot = this.#snapshot(volume, name);
    for (const part of ['upper', 'work']) await rm(join(this.volumePath(volume), part), { recursive: true, force: true });
    await cp(join(snapshot, 'upper'), join(this.volumePath(volume), 'upper'), copyOptions);
    await mkdir(join(this.volumePath(volume), 'work'));
  }

  treeStage(kind: TreeKind, id: string): Promise<string> {
    return this.#trees.stage(kind, id);
  }

  treeSeal(kind: TreeKind, id: string): Promise<void> {
    return this.#trees.seal(kind, id);
  }

  treePath(kind: TreeKind, id: string): string {
    return this.#trees.path(kind, id);
  }

  treeDelete(kind: TreeKind, id: string): Promise<void> {
    return this.#trees.delete(kind, id);
  }

  treeList(kind: TreeKind): Promise<string[]> {
    return this.#trees.list(kind);
  }

  async commit(): Promise<void> {}

  readonly promisableMib = fakeTotalMib;

  withRoom<Result>(_id: string, work: () => Promise<Result>): Promise<Result> {
    return work();
  }

  async capacity(): Promise<Capacity> {
    return { totalMib: fakeTotalMib, usedMib: 0 };
  }

  async close(): Promise<void> {}

  #snapshot(volume: string, name: string): string {
    const path = join(this.#root, 'snapshots', checkVolumeId(volume), checkSnapshot(name));
    if (!existsSync(path)) throw new CenoteError('not_found', `there is no snapshot ${name} of volume ${volume}`);
    return path;
  }
}

const bytesBelow = async (path: string): Promise<number> => {
  let bytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
};
