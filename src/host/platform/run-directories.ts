/**
 * Directories that programs expect below /run, which is empty at every start. On other systems the first process makes them; a machine's
 * first process is the app, so the platform's tree holds them and each start copies them. They come from what the packages say for
 * that purpose: tmpfiles.d, and RuntimeDirectory of services.
 */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';
import type { TemplateEntry } from './template-entry.ts';

export interface Accounts {
  passwd: string;
  group: string;
}

interface RunDirectory {
  /** `/run/…` */
  path: string;
  mode: number;
  user: string;
  /** Null is the user's own. */
  group: string | null;
}

/** Of an init that machines do not have. */
const initsOwn = /^\/run\/(systemd|user|log|sendsigs\.omit\.d|udev|initctl)(\/|$)/;
const plainPath = /^\/run(\/[A-Za-z0-9_@][A-Za-z0-9_.@+-]*)+$/;

/** As directories of a template, each before those in it. Entries of users that the machine does not have are left out. */
export const runDirectories = async (root: string, accounts: Accounts): Promise<TemplateEntry[]> => {
  const said = [...(await ofTmpfiles(root)), ...(await ofServices(root))];
  const found = new Map<string, TemplateEntry>([['/run/lock', { path: 'run/lock', type: 'directory', mode: 0o1777 }]]);
  for (const one of said) {
    const owner = ownerOf(one, accounts);
    if (owner === null || found.has(one.path)) continue;
    found.set(one.path, { path: one.path.slice(1), type: 'directory', mode: one.mode, ...owner });
  }
  for (const path of Array.from(found.keys()))
    for (let parent = dirname(path); parent !== '/run'; parent = dirname(parent))
      if (!found.has(parent)) found.set(parent, { path: parent.slice(1), type: 'directory' });
  return [...found.values()].toSorted((one, other) => (one.path < other.path ? -1 : 1));
};

/** `d PATH MODE USER GROUP …` */
export const parseTmpfiles = (text: string): RunDirectory[] =>
  text.split('\n').flatMap((line) => {
    const [type = '', path = '', mode = '-', user = '-', group = '-'] = line.trim().split(/\s+/);
    if (!/^[dD][!+=~^$-]*$/.test(type) || !/^(-|[:~]*[0-7]{3,4})$/.test(mode)) return [];
    return accepted({
      path: plain(path),
      mode: mode === '-' ? 0o755 : Number.parseInt(mode.replace(/^[:~]+/, ''), 8),
      user: user === '-' ? 'root' : user.replace(/^:/, ''),
      group: group === '-' ? (user === '-' ? 'root' : null) : group.replace(/^:/, ''),
    });
  });

/** `RuntimeDirectory=` of a service's unit file. */
export const parseUnit = (text: string): RunDirectory[] => {
  const last = (key: string) => [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].at(-1)?.[1]?.trim();
  const mode = last('RuntimeDirectoryMode') ?? '0755';
  if (!/^[0-7]{3,4}$/.test(mode)) return [];
  return [...text.matchAll(/^RuntimeDirectory=(.*)$/gm)]
    .flatMap(([, names]) => names!.trim().split(/\s+/))
    .flatMap((name) =>
      accepted({ path: plain(`/run/${name.split(':')[0]}`), mode: Number.parseInt(mode, 8), user: last('User') ?? 'root', group: last('Group') ?? null }),
    );
};

const plain = (path: string): string => path.replace(/^\/var\/run\//, '/run/').replace(/\/+$/, '');
const accepted = (one: RunDirectory): RunDirectory[] => (plainPath.test(one.path) && !initsOwn.test(one.path) ? [one] : []);

const ofTmpfiles = async (root: string): Promise<RunDirectory[]> => {
  const files = new Map<string, string>();
  // A file of the same name in /etc replaces the package's.
  for (const directory of ['usr/lib/tmpfiles.d', 'etc/tmpfiles.d'])
    for (const name of await namesIn(join(root, directory))) if (name.endsWith('.conf')) files.set(name, join(root, directory, name));
  const found: RunDirectory[] = [];
  for (const [, path] of [...files].toSorted(([one], [other]) => (one < other ? -1 : 1))) found.push(...parseTmpfiles(await textOf(path)));
  return found;
};

const ofServices = async (root: string): Promise<RunDirectory[]> => {
  const directory = join(root, 'usr/lib/systemd/system');
  const found: RunDirectory[] = [];
  for (const name of (await namesIn(directory)).toSorted())
    // A template is of nothing until it is given a name.
    if (name.endsWith('.service') && !name.includes('@')) found.push(...parseUnit(await textOf(join(directory, name))));
  return found;
};

const ownerOf = ({ user, group }: RunDirectory, accounts: Accounts): { uid: number; gid: number } | null => {
  const account = lineOf(accounts.passwd, user);
  const gid = group === null ? account?.[3] : lineOf(accounts.group, group)?.[2];
  return account === undefined || gid === undefined ? null : { uid: Number(account[2]), gid: Number(gid) };
};

/** By name, or by number. */
const lineOf = (text: string, name: string): string[] | undefined => {
  const lines = text.split('\n').map((line) => line.split(':'));
  return lines.find((fields) => fields[0] === name) ?? lines.find((fields) => fields[2] === name);
};

const namesIn = async (path: string): Promise<string[]> =>
  readdir(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });

/** A unit may be a link to nowhere, or to /dev/null. */
const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
