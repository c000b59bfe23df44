/**
 * An image made from a machine on the platform should hold what the machine changed, not copies of the platform's own files: those would
 * hide what a later platform brings. Files that are the same as a template's are taken out of the image's tree again.
 */
import { lstat, readFile, readdir, readlink, rm, rmdir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';

export const pruneAgainst = async (root: string, templates: readonly string[]): Promise<void> => {
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    const peers = await peersOf(templates, entry.name);
    if (peers.length === 0) continue;
    const stat = await lstat(path);
    if (stat.isDirectory()) {
      const directories = peers.filter((peer) => peer.stat.isDirectory());
      await pruneAgainst(
        path,
        directories.map((peer) => peer.path),
      );
      if (directories.some((peer) => sameOwner(peer.stat, stat)) && (await readdir(path)).length === 0) await rmdir(path);
      continue;
    }
    for (const peer of peers) {
      if (await same(path, stat, peer.path, peer.stat)) {
        await rm(path);
        break;
      }
    }
  }
};

const peersOf = async (templates: readonly string[], name: string): Promise<{ path: string; stat: Stats }[]> => {
  const found: { path: string; stat: Stats }[] = [];
  for (const template of templates) {
    const path = join(template, name);
    const stat = await lstat(path).catch(() => null);
    if (stat !== null) found.push({ path, stat });
  }
  return found;
};

const sameOwner = (a: Stats, b: Stats): boolean => a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;

const same = async (path: string, stat: Stats, peerPath: string, peer: Stats): Promise<boolean> => {
  if (!sameOwner(stat, peer)) return false;
  if (stat.isSymbolicLink()) return (await readlink(path)) === (await readlink(peerPath));
  if (!stat.isFile() || stat.size !== peer.size || Math.trunc(stat.mtimeMs) !== Math.trunc(peer.mtimeMs)) return false;
  return (await readFile(path)).equals(await readFile(peerPath));
};
