/** A root file system as a list of entries: made in memory, hashed, then written. The hash is over everything a machine can see of it. */
import { createHash } from 'node:crypto';
import { chmod, lchown, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Owner {
  uid?: number;
  gid?: number;
}

export type TemplateEntry =
  | ({ path: string; type: 'directory'; mode?: number } & Owner)
  | ({ path: string; type: 'file'; content: string | Buffer; mode?: number } & Owner)
  | { path: string; type: 'link'; target: string };

/** Every file of a template has this time: two hosts' equal templates are equal. */
const templateTime = new Date('2024-01-01T00:00:00Z');

export const hashOf = (entries: readonly TemplateEntry[]): string => {
  const hash = createHash('sha256');
  for (const entry of entries) {
    const { path, type } = entry;
    const what = entry.type === 'link' ? entry.target : `${entry.mode ?? ''} ${entry.uid ?? 0} ${entry.gid ?? 0}`;
    hash.update(JSON.stringify([path, type, what]));
    if (entry.type === 'file') hash.update(createHash('sha256').update(entry.content).digest());
  }
  return hash.digest('hex').slice(0, 16);
};

/** Into an empty directory. */
export const writeTemplate = async (root: string, entries: readonly TemplateEntry[]): Promise<void> => {
  await writeEntries(root, entries);
  for (const { path } of entries.toReversed()) await lutimes(join(root, path), templateTime, templateTime);
};

/** Directories come before what is in them; none of the entries is there yet. */
export const writeEntries = async (root: string, entries: readonly TemplateEntry[]): Promise<void> => {
  for (const entry of entries) {
    const path = join(root, entry.path);
    if (entry.type === 'link') {
      await symlink(entry.target, path);
      continue;
    }
    if (entry.type === 'directory') await mkdir(path);
    else await writeFile(path, entry.content, { flag: 'wx' });
    await lchown(path, entry.uid ?? 0, entry.gid ?? 0);
    await chmod(path, entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644));
  }
};

export const directory = (path: string, mode = 0o755, gid = 0): TemplateEntry => ({ path, type: 'directory', mode, gid });
export const file = (path: string, content: string | Buffer, mode = 0o644, gid = 0): TemplateEntry => ({ path, type: 'file', content, mode, gid });
export const link = (path: string, target: string): TemplateEntry => ({ path, type: 'link', target });
