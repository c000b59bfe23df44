/**
 * Platforms and images as trees on disk, and what a machine's root is put together from.
 *
 * On a platform: overlay lowers are [image tree, platform template], and the platform's /usr is bound over it read-only. The template is
 * everything of the root but /usr: links such as /bin -> usr/bin, a clean /etc, empty or skeleton /var, /home, /opt, /srv, /root, /tmp, /app.
 * An image with a userland of its own is the single lower, and nothing is bound.
 */
import type { ImageCreate, PlatformBuild, Progress } from '../../model/agent-api.ts';
import type { Image, Platform, PlatformRef } from '../../model/image.ts';
import type { Readable } from 'node:stream';

export interface RootParts {
  /** Overlay lowers, topmost first; absolute paths of read-only trees. */
  lowers: string[];
  /** Bound read-only at /usr; null for an own userland. */
  usr: string | null;
}

/**
 * A tar stream (plain, gzip or zstd), a directory that the caller has made safe (a machine's merged root), or all of another image, by its id.
 */
export type ImageContent = { tar: Readable } | { directory: string } | { image: string };

export interface Platforms {
  platformList(): Promise<Platform[]>;
  /** `version` left out: the newest. Null when there is none. */
  platformFind(name: string, version?: string): Promise<Platform | null>;
  /** From Debian's packages; each build is a new version. Progress in words as it goes. */
  platformBuild(request: PlatformBuild, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Platform>;
  platformDelete(ref: PlatformRef): Promise<void>;

  imageList(): Promise<Image[]>;
  imageGet(id: string): Promise<Image | null>;
  imageCreate(request: ImageCreate, content: ImageContent, signal: AbortSignal): Promise<Image>;
  imageDelete(id: string): Promise<void>;

  rootParts(image: { id: string }, platform: PlatformRef | null): Promise<RootParts>;
  /** Refreshes the `host` platform's template from the host as it is now, and makes the built-in images `base` and `node`. Idempotent, quick when nothing changed. */
  ensureBuiltIn(): Promise<void>;
}
