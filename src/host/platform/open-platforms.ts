/**
 * The real platforms and images. Ids of trees: an image a person made has its own id; a built-in one and the `host` template have their
 * content's hash, so that machines keep what they started from while new ones get the new; a built platform has `name@version`.
 */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { formatMib } from '../../base/units.ts';
import { platformKey } from '../../model/agent-api.ts';
import type { ImageCreate } from '../../model/agent-api.ts';
import type { Image, Platform, PlatformRef } from '../../model/image.ts';
import { checkResourceName } from '../../model/names.ts';
import type { RuledArchiver } from '../archive/archiver.ts';
import type { Storage } from '../storage/storage.ts';
import { builtInImages } from './built-in-images.ts';
import type { BuiltInImage } from './built-in-images.ts';
import { buildDebian, osRelease } from './debian-build.ts';
import { hostTemplate } from './host-template.ts';
import { appNameRule, checkAppTree, checkSystemTree, copyRoot, copyTree } from './image-rules.ts';
import type { ImageContent, Platforms, RootParts } from './platform.ts';
import { pruneAgainst } from './prune.ts';
import { hashOf, writeTemplate } from './template-entry.ts';
import { TreeStore, sizeMibOf } from './tree-store.ts';
import type { Tree } from './tree-store.ts';

export interface PlatformsOptions {
  storage: Storage;
  archiver: RuledArchiver;
  /** The Node that becomes the image `node`. */
  nodePath: string;
  logger: Logger;
  /**
   * Names of the machines that use a tree: asked with an image's id, with `name@version` of a platform, and with the id of a tree, which
   * is the last but one part of the paths `rootParts` gave (a running machine keeps the paths it started with).
   */
  inUse: (id: string) => readonly string[] | Promise<readonly string[]>;
  /** MiB of the pool that no machine is promised. */
  leftMib: () => number;
  /** `/`; tests give a small one. */
  hostRoot?: string | undefined;
  /** What fills a built platform's root; tests give a small one. */
  build?: typeof buildDebian | undefined;
}

const maxImageEntries = 1_000_000;
const live = 'live';

export const openPlatforms = async (options: PlatformsOptions): Promise<Platforms> => {
  const { storage, archiver, nodePath, logger, inUse, leftMib, hostRoot = '/', build = buildDebian } = options;
  const trees = await TreeStore.open(storage, logger);
  /** Names being given right now, of images and of platform versions. */
  const reserved = new Set<string>();
  let template: Tree | undefined = trees.all().find((tree) => tree.record.what === 'host-template');
  let hostDescription = '';
  let ensuring: Promise<void> | undefined;

  const imageTrees = () => trees.all().flatMap(({ id, record }) => (record.what === 'image' ? [{ id, record }] : []));
  /** Of two trees of a built-in image the newer is the image. */
  const imageTree = (id: string) => imageTrees().find(({ record }) => record.image.id === id);
  const platformTrees = () => trees.all().flatMap(({ id, record }) => (record.what === 'platform' ? [{ id, record }] : []));
  const platformTree = (ref: PlatformRef) => platformTrees().find(({ id }) => id === platformKey(ref));

  const hostPlatform = (): Platform | null => {
    const record = template?.record;
    if (record?.what !== 'host-template') return null;
    return { name: 'host', version: live, include: [], createdAt: record.createdAt, sizeMib: record.sizeMib, description: hostDescription };
  };

  const demandUnused = async (ids: readonly string[], what: string) => {
    const users = [...new Set((await Promise.all(ids.map(async (id) => inUse(id)))).flat())];
    if (users.length > 0)
      throw new CenoteError('in_use', `${what} is used by ${users.slice(0, 5).join(', ')}${users.length > 5 ? ` and ${users.length - 5} more` : ''}`);
  };

  const reserving = async <Result>(name: string, run: () => Promise<Result>): Promise<Result> => {
    if (reserved.has(name)) throw new CenoteError('already_exists', `${name} is being made right now`);
    reserved.add(name);
    try {
      return await run();
    } finally {
      reserved.delete(name);
    }
  };

  const refreshHostTemplate = async () => {
    const entries = await hostTemplate(hostRoot);
    hostDescription = (await osRelease(hostRoot)).get('PRETTY_NAME') ?? 'Linux';
    const hash = hashOf(entries);
    const known = trees.all().find(({ record }) => record.what === 'host-template' && record.hash === hash);
    const fresh = known ?? (await trees.make('platform', `host-${hash}`, async (root) => {
      await writeTemplate(root, entries);
      return { what: 'host-template', hash, createdAt: new Date().toISOString(), sizeMib: await sizeMibOf(root) };
    })); // prettier-ignore
    template = fresh;
    await deleteOutdated(trees.all().filter((tree) => tree.record.what === 'host-template' && tree.id !== fresh.id));
  };

  const refreshBuiltIn = async (builtIn: BuiltInImage) => {
    const mine = imageTrees().filter(({ record }) => record.image.id === builtIn.id);
    const wanted = `${builtIn.name}-${builtIn.hash}`;
    const [newest] = mine;
    // One with this content that is not the newest (the program was exchanged and exchanged back) gets made again.
    if (newest?.id.startsWith(wanted) !== true) {
      const id = mine.some((tree) => tree.id === wanted) ? `${wanted}-${Date.now()}` : wanted;
      await trees.make('image', id, async (root) => {
        await builtIn.fill(root);
        const image: Image = {
          id: builtIn.id,
          name: builtIn.name,
          kind: 'app',
          config: builtIn.config,
          sizeMib: builtIn.empty ? 0 : await sizeMibOf(root),
          createdAt: new Date().toISOString(),
          builtIn: true,
        };
        return { what: 'image', image, empty: builtIn.empty, hash: builtIn.hash };
      });
    }
    await deleteOutdated(
      imageTrees()
        .filter(({ record }) => record.image.id === builtIn.id)
        .slice(1),
    );
  };

  const refreshAll = async () => {
    await refreshHostTemplate();
    for (const builtIn of await builtInImages(nodePath)) await refreshBuiltIn(builtIn);
  };

  /** What machines are promised stays theirs: a tree has what is left. */
  const measured = async (what: string, root: string): Promise<number> => {
    const sizeMib = await sizeMibOf(root);
    const left = Math.max(0, Math.floor(leftMib()));
    if (sizeMib > left)
      throw new CenoteError('not_enough', `not enough disk: ${what} takes ${formatMib(sizeMib)}, and ${formatMib(left)} are promised to no machine`, {
        advice: 'make machines smaller, or delete images and platforms that nothing uses',
      });
    return sizeMib;
  };

  const deleteOutdated = async (outdated: readonly Tree[]) => {
    for (const tree of outdated) if ((await inUse(tree.id)).length === 0) await trees.delete(tree);
  };

  const fillImage = async (request: ImageCreate, content: ImageContent, root: string, signal: AbortSignal) => {
    if ('image' in content) {
      const source = imageTree(content.image);
      if (source === undefined) throw new CenoteError('not_found', `there is no image ${content.image}`);
      await copyTree(trees.root(source), root, signal);
    } else if ('directory' in content) {
      await copyRoot(content.directory, root, request.kind, signal);
      if (request.kind === 'app')
        await pruneAgainst(
          root,
          trees
            .all()
            .filter(({ record }) => record.what !== 'image')
            .map((tree) => trees.root(tree)),
        );
    } else {
      const { totalMib, usedMib } = await storage.capacity();
      const limits = { maxEntries: maxImageEntries, maxBytes: Math.max(0, Math.floor(Math.min(totalMib - usedMib, leftMib()))) * 1024 * 1024 };
      await archiver.unpack(content.tar, { root, path: '/', userNamespace: null }, limits, signal, request.kind === 'app' ? appNameRule : undefined);
    }
    await (request.kind === 'app' ? checkAppTree(root) : checkSystemTree(root));
  };

  return {
    platformList: async () => [hostPlatform(), ...platformTrees().map(({ record }) => record.platform)].filter((platform) => platform !== null),

    platformFind: async (name, version) => {
      if (name === 'host') return version === undefined || version === live ? hostPlatform() : null;
      const versions = platformTrees()
        .map(({ record }) => record.platform)
        .filter((platform) => platform.name === name);
      const newest = versions.toSorted((a, b) => Number(b.version) - Number(a.version))[0];
      return (version === undefined ? newest : versions.find((platform) => platform.version === version)) ?? null;
    },

    platformBuild: async (request, onProgress, signal) => {
      checkResourceName('name', request.name);
      if (request.name === 'host') throw invalid('name', 'host is this host itself and cannot be built');
      return reserving(`platform ${request.name}`, async () => {
        const versions = platformTrees()
          .filter(({ record }) => record.platform.name === request.name)
          .map(({ record }) => Number(record.platform.version));
        // A number comes again only after its version was deleted, which no machine used then, stopped ones included.
        const version = String(Math.max(0, ...versions) + 1);
        const tree = await trees.make('platform', platformKey({ name: request.name, version }), async (root) => {
          await build(root, request.include, (message) => onProgress({ message }), signal);
          const sizeMib = await measured(`platform ${request.name}`, root);
          const description = (await osRelease(root)).get('PRETTY_NAME') ?? 'Debian GNU/Linux';
          return {
            what: 'platform',
            platform: {
              name: request.name,
              version,
              include: [...request.include],
              createdAt: new Date().toISOString(),
              sizeMib,
              description,
            },
          };
        });
        if (tree.record.what !== 'platform') throw new CenoteError('internal', 'a platform became something else');
        logger.info({ component: 'platform', platform: tree.id, sizeMib: tree.record.platform.sizeMib }, 'platform built');
        return tree.record.platform;
      });
    },

    platformDelete: async (ref) => {
      if (ref.name === 'host') throw invalid('platform', 'host is this host itself and cannot be deleted');
      const tree = platformTree(ref);
      if (tree === undefined) throw new CenoteError('not_found', `there is no platform ${platformKey(ref)}`);
      await demandUnused([tree.id], `platform ${tree.id}`);
      await trees.delete(tree);
    },

    imageList: async () => {
      const newest = new Map(
        imageTrees()
          .toReversed()
          .map(({ record }) => [record.image.id, record.image]),
      );
      return [...newest.values()].toSorted((a, b) => a.name.localeCompare(b.name));
    },

    imageGet: async (id) => imageTree(id)?.record.image ?? null,

    imageCreate: async (request, content, signal) => {
      checkResourceName('name', request.name);
      const existing = imageTree(request.id);
      if (existing !== undefined) return existing.record.image;
      if (imageTrees().some(({ record }) => record.image.name === request.name))
        throw new CenoteError('already_exists', `there is an image ${request.name} already`, { fields: [{ field: 'name', message: 'taken' }] });
      return reserving(`image ${request.name}`, async () => {
        const image: Image = {
          id: request.id,
          name: request.name,
          kind: request.kind,
          config: request.config,
          sizeMib: 0,
          createdAt: new Date().toISOString(),
          builtIn: false,
        };
        await trees.make('image', request.id, async (root) => {
          await fillImage(request, content, root, signal);
          image.sizeMib = await measured(`image ${request.name}`, root);
          return { what: 'image', image, empty: false, hash: null };
        });
        return image;
      });
    },

    imageDelete: async (id) => {
      const tree = imageTree(id);
      if (tree === undefined) throw new CenoteError('not_found', `there is no image ${id}`);
      if (tree.record.image.builtIn) throw invalid('image', `${tree.record.image.name} is part of every installation and cannot be deleted`);
      await demandUnused([id], `image ${tree.record.image.name}`);
      await trees.delete(tree);
    },

    rootParts: async (image, platform): Promise<RootParts> => {
      const tree = imageTree(image.id);
      if (tree === undefined) throw new CenoteError('not_found', `there is no image ${image.id}`);
      const own = trees.root(tree);
      if (tree.record.image.kind === 'system') return { lowers: [own], usr: null };
      if (platform === null) throw invalid('platform', `image ${tree.record.image.name} has no userland of its own and needs a platform`);
      const above = tree.record.empty ? [] : [own];
      if (platform.name === 'host') {
        if (template === undefined || platform.version !== live) throw new CenoteError('not_found', `there is no platform ${platformKey(platform)}`);
        return { lowers: [...above, trees.root(template)], usr: `${hostRoot === '/' ? '' : hostRoot}/usr` };
      }
      const built = platformTree(platform);
      if (built === undefined) throw new CenoteError('not_found', `there is no platform ${platformKey(platform)}`);
      // The tree is its own template: it holds /usr too, which is bound over itself, so that nothing in a machine's upper can change it.
      return { lowers: [...above, trees.root(built)], usr: `${trees.root(built)}/usr` };
    },

    ensureBuiltIn: async () => {
      // Whoever asks meanwhile gets the same outcome.
      ensuring ??= refreshAll().finally(() => (ensuring = undefined));
      await ensuring;
    },
  };
};
