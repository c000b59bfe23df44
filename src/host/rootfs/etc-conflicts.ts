/**
 * Which files in /etc a machine has made its own while the system beneath them changed too. The machine keeps its own, so somebody should
 * look at them: a setting of the new version may be missing, or an account that its packages brought.
 *
 * The upper directory belongs to the machine and is not to be trusted: nothing in it is followed. The machine must be at rest.
 */
import { lstat, readFile, readdir, readlink } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';

/** Each machine's own by nature, or a copy that a program keeps of such a file. */
const machinesOwn = new Set([
  'hostname',
  'hosts',
  'resolv.conf',
  'machine-id',
  'mtab',
  '.pwd.lock',
  'passwd-',
  'group-',
  'shadow-',
  'gshadow-',
  'subuid-',
  'subgid-',
]);
const mostTold = 200;
const largestCompared = 16 * 1024 * 1024;

interface Entry {
  path: string;
  stat: Stats;
}

/** Paths beginning with /etc/, sorted. `former` and `next` are the lowers before and after, topmost first. */
export const etcConflicts = async (upper: string, former: readonly string[], next: readonly string[]): Promise<string[]> => {
  const found: string[] = [];
  const visit = async (directory: string): Promise<void> => {
    for (const name of (await namesIn(join(upper, directory))).toSorted()) {
      if (found.length >= mostTold || (directory === 'etc' && machinesOwn.has(name))) continue;
      const path = `${directory}/${name}`;
      const mine = await entryAt(join(upper, path));
      if (mine === null) continue;
      const [before, after] = [await firstOf(former, path), await firstOf(next, path)];
      if (mine.stat.isDirectory() && (before === null || before.stat.isDirectory()) && (after === null || after.stat.isDirectory())) await visit(path);
      else if (!(await same(before, after)) && !(await same(isWhiteout(mine.stat) ? null : mine, after))) found.push(`/${path}`);
    }
  };
  const etc = await entryAt(join(upper, 'etc'));
  if (etc?.stat.isDirectory() === true) await visit('etc');
  return found;
};

/** How overlay says that the machine removed what is below. */
const isWhiteout = (stat: Stats): boolean => stat.isCharacterDevice() && stat.rdev === 0;

const firstOf = async (lowers: readonly string[], path: string): Promise<Entry | null> => {
  for (const lower of lowers) {
    const entry = await entryAt(join(lower, path));
    if (entry !== null) return entry;
  }
  return null;
};

const entryAt = async (path: string): Promise<Entry | null> => {
  try {
    return { path, stat: await lstat(path) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
};

const namesIn = async (path: string): Promise<string[]> => readdir(path).catch(() => []);

/** Times do not count: a tree built anew has new ones. */
const same = async (one: Entry | null, other: Entry | null): Promise<boolean> => {
  if (one === null || other === null) return one === other;
  const [a, b] = [one.stat, other.stat];
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  if (a.isSymbolicLink()) return (await readlink(one.path)) === (await readlink(other.path));
  if (!a.isFile()) return a.isDirectory();
  return a.size === b.size && a.size <= largestCompared && (await readFile(one.path)).equals(await readFile(other.path));
};
