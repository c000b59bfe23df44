/**
 * A platform from Debian's packages: mmdebstrap into a staged tree, then everything out of it that must not be the same in many machines
 * (keys, ids, seeds), that says how it was built, or that belongs to a running system. Services are not started while it is built: mmdebstrap sees to that.
 */
import { chmod, copyFile, lstat, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { run } from '../../exec/run.ts';
import { isErrno } from '../../sys/libc.ts';
import { fetchOptions, hostSources } from './apt-sources.ts';
import { hostsFile } from './clean-etc.ts';
import { runDirectories } from './run-directories.ts';
import { writeEntries } from './template-entry.ts';

/** Certificates, the tables of names and the time zones, which a fresh Debian has and its smallest set has not. */
const always = ['ca-certificates', 'netbase', 'tzdata', 'media-types'];
const buildTimeoutMs = 45 * 60_000;

export const buildDebian = async (root: string, include: readonly string[], onLine: (line: string) => void, signal: AbortSignal): Promise<void> => {
  const codename = (await osRelease('/')).get('VERSION_CODENAME');
  if (codename === undefined)
    throw new CenoteError('unsupported', 'this host has no VERSION_CODENAME in /etc/os-release: a platform can be built on Debian and its kin only');
  const scratch = await mkdtemp(join(tmpdir(), 'cenote-build-'));
  try {
    const [sources, options] = [join(scratch, 'sources.list'), join(scratch, 'apt.conf')];
    await writeFile(sources, `${(await hostSources('/etc/apt', codename)).join('\n')}\n`);
    await writeFile(options, `${fetchOptions(await run('apt-config', ['dump', 'Acquire'])).join('\n')}\n`);
    const packages = [...new Set([...always, ...include])].join(',');
    // A mount and process namespace of its own, that dies with this process: however it ends, no mount and no process stays.
    const confined = ['--pdeathsig', 'KILL', '--', 'unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc', '--'];
    const build = [
      'mmdebstrap',
      '--mode=root',
      '--variant=apt',
      '--format=directory',
      `--include=${packages}`,
      `--aptopt=${options}`,
      '--skip=output/dev',
      codename,
      root,
      sources,
    ];
    let last = '';
    const onOutput = (line: string) => {
      const text = line.replace(/^[IWE]: /, '').trim();
      if (line.startsWith('E: ') && !/(setup|mmdebstrap) failed|received signal/.test(line)) last = text;
      if (/^[IWE]: /.test(line)) onLine(text);
    };
    await run('setpriv', [...confined, ...build], {
      timeoutMs: buildTimeoutMs,
      signal,
      cwd: scratch,
      onOutput,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', TMPDIR: scratch },
    }).catch((cause: unknown) => {
      signal.throwIfAborted();
      const missing = /(?:setpriv|unshare): .*mmdebstrap.*No such file/.test(String(cause));
      if (missing) throw new CenoteError('failed', 'mmdebstrap is not installed', { cause, advice: 'run `cenote up` again: it installs what is missing' });
      throw new CenoteError('failed', `the platform could not be built${last === '' ? '' : `: ${last}`}`, { cause });
    });
    signal.throwIfAborted();
    onLine('cleaning the tree of keys, ids and traces of the build');
    await clean(root);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/** Removed as they are; a `*` stands for everything in that directory. */
const removed = [
  'dev/*', 'proc/*', 'sys/*', 'run/*', 'tmp/*', 'var/tmp/*', 'boot/*',
  'etc/machine-id', 'var/lib/dbus/machine-id', 'etc/hostname', 'etc/resolv.conf', 'etc/.pwd.lock', 'etc/passwd-', 'etc/group-', 'etc/shadow-', 'etc/gshadow-',
  'etc/apt/apt.conf.d/99mmdebstrap', 'etc/apt/sources.list', 'etc/apt/sources.list.d/*', 'etc/apt/auth.conf.d/*',
  'var/lib/apt/lists/*', 'var/cache/apt/*', 'var/cache/ldconfig/*', 'var/cache/debconf/*-old', 'var/lib/systemd/random-seed', 'var/lib/systemd/credential.secret', 'root/.bash_history',
  'etc/ssh/ssh_host_*', 'etc/ssl/private/ssl-cert-snakeoil.key', 'etc/ssl/certs/ssl-cert-snakeoil.pem',
]; // prettier-ignore

const clean = async (root: string): Promise<void> => {
  for (const pattern of removed) {
    const at = pattern.lastIndexOf('/') + 1;
    const [directory, name] = [join(root, pattern.slice(0, at)), pattern.slice(at)];
    if (!name.includes('*')) {
      await rm(join(directory, name), { recursive: true, force: true });
      continue;
    }
    const [start, end] = name.split('*') as [string, string];
    for (const found of await entriesOf(directory))
      if (found.startsWith(start) && found.endsWith(end)) await rm(join(directory, found), { recursive: true, force: true });
  }
  await removeLogs(join(root, 'var/log'));
  await postgresqlWithoutSharedKey(root);
  for (const name of ['hostname', 'resolv.conf']) await writeFile(join(root, 'etc', name), '');
  await writeFile(join(root, 'etc/machine-id'), '', { mode: 0o444 });
  if ((await lstat(join(root, 'etc/hosts')).catch(() => null)) === null) await writeFile(join(root, 'etc/hosts'), hostsFile);
  for (const name of ['app', 'srv', 'opt', 'home', '.zonecontrol']) await mkdir(join(root, name), { recursive: true });
  const skeleton = join(root, 'etc/skel');
  for (const name of await entriesOf(skeleton)) if (name === '.bashrc' || name === '.profile') await copyFile(join(skeleton, name), join(root, 'root', name));
  await chmod(join(root, 'root'), 0o700);
  const [passwd, group] = await Promise.all(['passwd', 'group'].map((name) => readFile(join(root, 'etc', name), 'utf8').catch(() => '')));
  await writeEntries(root, await runDirectories(root, { passwd: passwd!, group: group! }));
};

const removeLogs = async (directory: string): Promise<void> => {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeLogs(join(directory, entry.name));
    else await rm(join(directory, entry.name));
  }
};

/**
 * Debian's ssl-cert makes a key pair when it is installed, and PostgreSQL's first cluster refers to it. In a tree shared by all machines
 * that key would be everyone's, so it is gone, and the cluster starts without TLS until its owner brings a key.
 */
const postgresqlWithoutSharedKey = async (root: string): Promise<void> => {
  const etc = join(root, 'etc/postgresql');
  for (const version of await entriesOf(etc)) {
    for (const cluster of await entriesOf(join(etc, version))) {
      const path = join(etc, version, cluster, 'postgresql.conf');
      const text = await readFile(path, 'utf8').catch(() => null);
      if (text !== null && text.includes('ssl-cert-snakeoil'))
        await writeFile(path, text.replace(/^ssl = on$/m, 'ssl = off').replace(/^(ssl_(?:cert|key)_file = '[^']*snakeoil[^']*')/gm, '#$1'));
    }
  }
};

const entriesOf = async (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });

/** os-release of a root, by its keys. */
export const osRelease = async (root: string): Promise<Map<string, string>> => {
  const text = await readFile(join(root, 'usr/lib/os-release'), 'utf8').catch(() => '');
  return new Map([...text.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm)].map(([, key, value]) => [key!, value!]));
};
