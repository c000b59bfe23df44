/**
 * Tar streams in and out of a directory that is not to be trusted: a machine's root, or a tree being made.
 *
 * In: each entry is checked as it streams by (names, types, sizes, counts, link targets), and what passes is unpacked by
 * a process that has only the target's own user namespace and has chrooted into `root`, so that neither a path, a link nor a
 * device can reach outside, whatever the archive or a process in the machine does meanwhile.
 */
import type { Readable } from 'node:stream';

export interface ArchiveLimits {
  maxEntries: number;
  maxBytes: number;
}

export interface Confinement {
  /** Directory that becomes the root of the unpacking process. */
  root: string;
  /** Where inside it, absolute. Made if absent when `in`. */
  path: string;
  /** User namespace whose ids the process takes (uid 0 inside); null is the host's own, for trees on disk with ids 0-65535. */
  userNamespace: string | null;
}

export interface Archiver {
  unpack(source: Readable, where: Confinement, limits: ArchiveLimits, signal: AbortSignal): Promise<{ entries: number; bytes: number }>;
  /** A tar stream of the file or directory at `path`; rejects with `not_found` before the first byte. */
  pack(where: Confinement, signal: AbortSignal): Promise<Readable>;
}
