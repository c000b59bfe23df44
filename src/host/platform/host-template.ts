/**
 * The template of the platform `host`: what a machine's root holds beside this host's live /usr. Of the host's own /etc only what
 * is public and belongs to the /usr it describes is taken: the linker's cache, the alternatives, CA certificates, tables of names.
 */
import { lstat, readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import { cleanEtc, rootHome } from './clean-etc.ts';
import { runDirectories } from './run-directories.ts';
import { group, passwd } from './standard-accounts.ts';
import { directory, file, link } from './template-entry.ts';
import type { TemplateEntry } from './template-entry.ts';

/** The names a merged host has as links into /usr. */
export const mergedNames: readonly string[] = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libo32'];

const publicFiles = [
  'ld.so.conf',
  'ld.so.cache',
  'services',
  'protocols',
  'rpc',
  'ethertypes',
  'mime.types',
  'magic',
  'debian_version',
  'inputrc',
  'locale.alias',
  'ca-certificates.conf',
];
const largestPublicFile = 16 * 1024 * 1024;

/** `hostRoot` is `/`; tests give a small one. */
export const hostTemplate = async (hostRoot: string): Promise<TemplateEntry[]> => [
  ...(await mergedLinks(hostRoot)),
  directory('usr'),
  ...cleanEtc,
  ...(await publicEtc(hostRoot)),
  ...['home', 'opt', 'srv', 'app', 'run', 'proc', 'sys', 'dev', 'mnt', 'media', 'boot', '.zonecontrol'].map((name) => directory(name)),
  ...(await runDirectories(hostRoot, { passwd, group })),
  directory('tmp', 0o1777),
  ...rootHome,
  ...varSkeleton,
];

const mailGroup = 8;
const varSkeleton: readonly TemplateEntry[] = [
  ...['var', 'var/lib', 'var/lib/misc', 'var/cache', 'var/log', 'var/opt', 'var/spool', 'var/backups', 'var/www'].map((name) => directory(name)),
  directory('var/local', 0o2775, 50),
  directory('var/mail', 0o2775, mailGroup),
  directory('var/tmp', 0o1777),
  link('var/run', '/run'),
  link('var/lock', '/run/lock'),
  link('var/spool/mail', '../mail'),
];

const mergedLinks = async (hostRoot: string): Promise<TemplateEntry[]> => {
  const links: TemplateEntry[] = [];
  for (const name of mergedNames) {
    const target = await readlink(join(hostRoot, name)).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return null;
      if (isErrno(error, 'EINVAL')) return '';
      throw error;
    });
    if (target === null) continue;
    if (target !== `usr/${name}` && target !== `/usr/${name}`) {
      throw new CenoteError('unsupported', `this host keeps /${name} outside /usr, so its system cannot be shared by machines`, {
        advice: 'merge it (Debian: apt install usrmerge), then run `cenote up` again',
      });
    }
    links.push(link(name, `usr/${name}`));
  }
  return links;
};

const publicEtc = async (hostRoot: string): Promise<TemplateEntry[]> => {
  const etc = join(hostRoot, 'etc');
  const entries: TemplateEntry[] = [];
  for (const name of publicFiles) entries.push(...(await publicFile(join(etc, name), `etc/${name}`)));
  for (const name of await names(join(etc, 'ld.so.conf.d')))
    if (name.endsWith('.conf')) entries.push(...(await publicFile(join(etc, 'ld.so.conf.d', name), `etc/ld.so.conf.d/${name}`)));
  for (const name of await names(join(etc, 'alternatives'))) entries.push(...(await linkIntoUsr(join(etc, 'alternatives', name), `etc/alternatives/${name}`)));
  entries.push(...(await certificates(join(etc, 'ssl/certs'))));
  return entries;
};

/** The bundle, and the links by name and by hash; nothing that only root may read. */
const certificates = async (from: string): Promise<TemplateEntry[]> => {
  const entries: TemplateEntry[] = [];
  const found = await names(from);
  for (const name of found) {
    const [path, to] = [join(from, name), `etc/ssl/certs/${name}`];
    if (/\.(pem|crt|[0-9]+)$/.test(name) && !/\bkey\b|snakeoil/i.test(name)) {
      const target = await readlink(path).catch(() => null);
      if (target !== null && !target.includes('/') && !/snakeoil/.test(target)) entries.push(link(to, target));
      else if (target !== null) entries.push(...(await linkIntoUsr(path, to)));
      else entries.push(...(await publicFile(path, to)));
    }
  }
  const java = await publicFile(join(from, 'java/cacerts'), 'etc/ssl/certs/java/cacerts');
  return java.length === 0 ? entries : [...entries, directory('etc/ssl/certs/java'), ...java];
};

const names = async (path: string): Promise<string[]> =>
  (
    await readdir(path).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    })
  ).toSorted((a, b) => (a < b ? -1 : 1));

/** A link whose target a machine has too, because it is in /usr. */
const linkIntoUsr = async (from: string, to: string): Promise<TemplateEntry[]> => {
  const target = await readlink(from).catch(() => '');
  return /^\/(usr|bin|sbin|lib|lib64)\//.test(target) && !target.split('/').includes('..') ? [link(to, target)] : [];
};

/** A plain file that every user of the host may read. */
const publicFile = async (from: string, to: string): Promise<TemplateEntry[]> => {
  const stat = await lstat(from).catch(() => null);
  if (stat === null || !stat.isFile() || (stat.mode & 0o004) === 0 || stat.size > largestPublicFile) return [];
  const content = await readFile(from);
  return content.includes('PRIVATE KEY-----') ? [] : [file(to, content)];
};
