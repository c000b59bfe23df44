/** The btrfs driver: storage on a pool of its own, with quotas, snapshots and copies that cost nothing. See btrfs-pool.ts for what is where. */
import type { Logger } from '../../base/logger.ts';
import type { StorageFeatures } from '../../model/agent-api.ts';
import { BtrfsPool } from './btrfs-pool.ts';
import { BtrfsTrees } from './btrfs-trees.ts';
import { BtrfsVolumes } from './btrfs-volumes.ts';
import type { VolumeOptions } from './btrfs-volumes.ts';
import type { Capacity, CommitScope, Storage, TreeKind, VolumeSnapshot, VolumeUsage } from './storage.ts';

export class BtrfsStorage implements Storage {
  readonly features: StorageFeatures;
  readonly device: string | null;
  readonly #pool: BtrfsPool;
  readonly #volumes: BtrfsVolumes;
  readonly #trees: BtrfsTrees;

  private constructor(pool: BtrfsPool, volumes: BtrfsVolumes, device: string | null) {
    this.#pool = pool;
    this.device = device;
    this.#volumes = volumes;
    this.#trees = new BtrfsTrees(pool);
    const lacks = pool.groups.mode === 'squota' ? [] : ['simple quotas (Linux 6.7): snapshots slow every commit down, and a copy is billed for what it shares'];
    this.features = { driver: 'btrfs', quota: pool.groups.mode, snapshots: true, lacks };
  }

  /** `mountPoint` has the pool mounted already. */
  static async open(mountPoint: string, device: string | null, logger: Logger): Promise<BtrfsStorage> {
    const pool = await BtrfsPool.open(mountPoint, logger);
    const volumes = new BtrfsVolumes(pool, logger);
    await volumes.load();
    return new BtrfsStorage(pool, volumes, device);
  }

  volumeCreate(id: string, options: VolumeOptions): Promise<void> {
    return this.#volumes.create(id, options);
  }

  get promisableMib(): number {
    return this.#pool.promisableMib;
  }

  withRoom<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    return this.#volumes.withRoom(id, work);
  }

  volumePath(id: string): string {
    return this.#volumes.path(id);
  }

  volumeDelete(id: string): Promise<void> {
    return this.#volumes.delete(id);
  }

  volumeResize(id: string, quotaMib: number): Promise<void> {
    return this.#volumes.resize(id, quotaMib);
  }

  async volumeUsage(id: string): Promise<VolumeUsage> {
    return this.#volumes.usage(id);
  }

  volumeList(): Promise<string[]> {
    return this.#volumes.list();
  }

  snapshotCreate(volume: string, name: string): Promise<void> {
    return this.#volumes.snapshotCreate(volume, name);
  }

  snapshotList(volume: string): Promise<VolumeSnapshot[]> {
    return this.#volumes.snapshotList(volume);
  }

  snapshotNames(volume: string): Promise<string[]> {
    return this.#volumes.snapshotNames(volume);
  }

  snapshotDelete(volume: string, name: string): Promise<void> {
    return this.#volumes.snapshotDelete(volume, name);
  }

  snapshotRollback(volume: string, name: string): Promise<void> {
    return this.#volumes.snapshotRollback(volume, name);
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

  commit(scope?: CommitScope): Promise<void> {
    return this.#pool.commit(scope);
  }

  capacity(): Promise<Capacity> {
    return this.#pool.capacity();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}
