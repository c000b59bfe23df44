/** Platforms and images for tests of the layers above: records in memory, nothing on disk, the same refusals. */
import { createHash } from 'node:crypto';
import { CenoteError, invalid } from '../../base/errors.ts';
import { platformKey } from '../../model/agent-api.ts';
import type { ImageCreate, PlatformBuild, Progress } from '../../model/agent-api.ts';
import type { Image, Platform, PlatformRef } from '../../model/image.ts';
import type { ImageContent, Platforms, RootParts } from './platform.ts';

export interface FakePlatformsOptions {
  inUse?: ((id: string) => readonly string[] | Promise<readonly string[]>) | undefined;
}

export class FakePlatforms implements Platforms {
  readonly #images = new Map<string, Image>();
  readonly #platforms: Platform[] = [];
  readonly #inUse: (id: string) => readonly string[] | Promise<readonly string[]>;

  constructor(options: FakePlatformsOptions = {}) {
    this.#inUse = options.inUse ?? (() => []);
  }

  async platformList(): Promise<Platform[]> {
    return [...this.#platforms];
  }

  async platformFind(name: string, version?: string): Promise<Platform | null> {
    return this.#platforms.findLast((platform) => platform.name === name && (version === undefined || platform.version === version)) ?? null;
  }

  async platformBuild(request: PlatformBuild, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Platform> {
    if (request.name === 'host') throw invalid('name', 'host is this host itself and cannot be built');
    onProgress({ message: 'pretending to build' });
    signal.throwIfAborted();
    const version = String(Number((await this.platformFind(request.name))?.version ?? 0) + 1);
    const platform = { name: request.name, version, include: [...request.include], createdAt: now(), sizeMib: 100, description: 'Fake Linux' };
    this.#platforms.push(platform);
    return platform;
  }

  async platformDelete(ref: PlatformRef): Promise<void> {
    if (ref.name === 'host') throw invalid('platform', 'host is this host itself and cannot be deleted');
    const at = this.#platforms.findIndex((platform) => platformKey(platform) === platformKey(ref));
    if (at === -1) throw new CenoteError('not_found', `there is no platform ${platformKey(ref)}`);
    await this.#demandUnused(platformKey(ref));
    this.#platforms.splice(at, 1);
  }

  async imageList(): Promise<Image[]> {
    return [...this.#images.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  }

  async imageGet(id: string): Promise<Image | null> {
    return this.#images.get(id) ?? null;
  }

  async imageCreate(request: ImageCreate, content: ImageContent, signal: AbortSignal): Promise<Image> {
    const existing = this.#images.get(request.id);
    if (existing !== undefined) return existing;
    if ((await this.imageList()).some(({ name }) => name === request.name))
      throw new CenoteError('already_exists', `there is an image ${request.name} already`);
    if ('tar' in content) for await (const chunk of content.tar) void (chunk as Buffer);
    signal.throwIfAborted();
    const image: Image = { id: request.id, name: request.name, kind: request.kind, config: request.config, sizeMib: 1, createdAt: now(), builtIn: false };
    this.#images.set(image.id, image);
    return image;
  }

  async imageDelete(id: string): Promise<void> {
    const image = this.#images.get(id);
    if (image === undefined) throw new CenoteError('not_found', `there is no image ${id}`);
    if (image.builtIn) throw invalid('image', `${image.name} is part of every installation and cannot be deleted`);
    await this.#demandUnused(id);
    this.#images.delete(id);
  }

  async rootParts(image: { id: string }, platform: PlatformRef | null): Promise<RootParts> {
    const found = this.#images.get(image.id);
    if (found === undefined) throw new CenoteError('not_found', `there is no image ${image.id}`);
    const own = `/fake/image/${found.id}/root`;
    if (found.kind === 'system') return { lowers: [own], usr: null };
    if (platform === null) throw invalid('platform', `image ${found.name} has no userland of its own and needs a platform`);
    if ((await this.platformFind(platform.name, platform.version)) === null)
      throw new CenoteError('not_found', `there is no platform ${platformKey(platform)}`);
    const root = `/fake/platform/${platformKey(platform)}/root`;
    return { lowers: [own, root], usr: `${root}/usr` };
  }

  async ensureBuiltIn(): Promise<void> {
    if ((await this.platformFind('host')) === null)
      this.#platforms.unshift({ name: 'host', version: 'live', include: [], createdAt: now(), sizeMib: 1, description: 'Fake Linux' });
    for (const [name, command] of [
      ['base', ['sleep', 'infinity']],
      ['node', ['node', '.']],
    ] as const) {
      const id = builtInId(name);
      if (!this.#images.has(id)) this.#images.set(id, { id, name, kind: 'app', config: { Cmd: [...command] }, sizeMib: 1, createdAt: now(), builtIn: true });
    }
  }

  async #demandUnused(id: string): Promise<void> {
    const users = await this.#inUse(id);
    if (users.length > 0) throw new CenoteError('in_use', `${id} is used by ${users.join(', ')}`);
  }
}

const now = (): string => new Date().toISOString();

const builtInId = (name: string): string => {
  const digits = createHash('sha256').update(`fake built-in image ${name}`).digest('hex');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
};
