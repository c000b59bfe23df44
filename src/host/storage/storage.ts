/**
 * The pool's disk. A volume is a machine's own changes: a directory with `upper/` and `work/` for its overlay (and
 * `empty/`, a lower layer with nothing in it), under a quota. A tree is a read-only directory (an image or a platform), shared by all. Both are named by ids the caller chose.
 *
 * Every method is idempotent where its name allows: creating what exists and deleting what is gone succeed, so that a
 * step interrupted by a crash can simply be taken again. Errors are CenoteError with the numbers (`not_enough`, `in_use`).
 */
import type { StorageFeatures } from '../../model/agent-api.ts';

export interface VolumeUsage {
  /** Charged to the machine now, MiB, with one decimal or more. May lag by one commit (seconds) on btrfs. */
  usedMib: number;
  quotaMib: number | null;
}

export interface VolumeSnapshot {
  name: string;
  /** ISO time of creation. */
  createdAt: string;
  /** Data only the snapshot holds. */
  sizeMib: number;
}

export type TreeKind = 'image' | 'platform';

export type CommitScope = 'all' | 'names';

export interface Capacity {
  totalMib: number;
  usedMib: number;
}

export interface Storage {
  readonly features: StorageFeatures;
  /** The whole disk beneath it as control groups name it (`7:3`); null where it is not one disk. */
  readonly device: string | null;

  /** What the quotas of all volumes may come to: the rest is the file system's own, and trees. Counted when the pool is opened, and when a tree comes or goes. */
  readonly promisableMib: number;

  /**
   * An empty volume, or a writable copy of a snapshot (whose overlay work directory is made empty). What a copy shares counts in its quota
   * also while its origin is there: whoever deletes the origin leaves that to the copy. A quota too small for it is `not_enough`.
   */
  volumeCreate(id: string, options: { quotaMib: number; from?: { volume: string; snapshot: string } | undefined }): Promise<void>;
  /** Where `upper/` and `work/` are, as an absolute path. */
  volumePath(id: string): string;
  /** With all its snapshots. */
  volumeDelete(id: string): Promise<void>;
  /** Live, both directions; below what is used (plus what the file system needs to go on) is `not_enough` with the number. */
  volumeResize(id: string, quotaMib: number): Promise<void>;
  volumeUsage(id: string): Promise<VolumeUsage>;
  /** Beyond its quota the volume has a little room while `work` is done: what the kernel writes when it mounts a full one. */
  withRoom<Result>(id: string, work: () => Promise<Result>): Promise<Result>;
  /** Ids of all volumes on disk, also half-made ones: what recovery compares with the journal. */
  volumeList(): Promise<string[]>;

  /** The caller has synced and frozen the machine; this only takes the snapshot. It is on disk when this resolves. */
  snapshotCreate(volume: string, name: string): Promise<void>;
  /** Measures each, which takes the longer the more data there is. */
  snapshotList(volume: string): Promise<VolumeSnapshot[]>;
  /** Which there are; at once. */
  snapshotNames(volume: string): Promise<string[]>;
  snapshotDelete(volume: string, name: string): Promise<void>;
  /** The volume's content becomes the snapshot's; the machine is stopped. The volume is never absent: a crash leaves the old or the new. */
  snapshotRollback(volume: string, name: string): Promise<void>;

  /** A writable staging directory for a tree; discarded by `treeDelete` or made permanent and read-only by `treeSeal`. */
  treeStage(kind: TreeKind, id: string): Promise<string>;
  treeSeal(kind: TreeKind, id: string): Promise<void>;
  treePath(kind: TreeKind, id: string): string;
  treeDelete(kind: TreeKind, id: string): Promise<void>;
  /** Sealed trees only; staging left by a crash is removed by `open`. */
  treeList(kind: TreeKind): Promise<string[]>;

  /**
   * Waits until what was done is on disk (group commit: callers at the same time share one). `names` leaves out the content of files, and
   * so does not wait for what the neighbours are writing: enough after a create, resize, rollback or delete that unpacked nothing.
   */
  commit(scope?: CommitScope): Promise<void>;
  capacity(): Promise<Capacity>;
  close(): Promise<void>;
}
