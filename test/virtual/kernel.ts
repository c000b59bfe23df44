/**
 * Debian's stock kernel, for a machine that is not this one: fetched and unpacked into the cache, never installed (its package would
 * touch this host's boot loader). And the initramfs that finds the virtual disk.
 */
import { copyFile, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { run } from '../../src/exec/run.ts';

const fetchTimeoutMs = 10 * 60_000;
/** What depends on the current one. */
export const kernelMetapackage = 'linux-image-amd64';
/** What the initramfs loads, in this order, each with what it depends on. */
const bootModules = ['virtio_pci', 'virtio_blk', 'ext4', 'crc32c_generic'];
/** What goes onto the disk; of drivers, only those a virtual host has. */
const moduleFolders = ['arch', 'block', 'crypto', 'fs', 'lib', 'mm', 'net', 'drivers/block', 'drivers/virtio', 'drivers/net/vxlan', 'drivers/net/bonding'];
const moduleFiles = [
  'char/virtio_console',
  ...['dummy', 'ifb', 'macvlan', 'net_failover', 'tun', 'veth', 'virtio_net', 'vrf'].map((name) => `net/${name}`),
].map((path) => `drivers/${path}.ko`);

export interface Kernel {
  release: string;
  image: string;
  /** Directory with `lib/modules/RELEASE`, complete with modules.dep. */
  modules: string;
}

/** The name of the package that has the current kernel. */
export const kernelPackage = async (): Promise<string> => {
  const found = /Depends: (linux-image-\S+)/.exec(await run('apt-cache', ['depends', kernelMetapackage]))?.[1];
  if (found === undefined) throw new Error(`apt knows no package ${kernelMetapackage}`);
  return found;
};

export const fetchKernel = async (name: string, into: string): Promise<Kernel> => {
  const unpacked = join(into, 'unpacked');
  await mkdir(unpacked, { recursive: true });
  await run('apt-get', ['download', '-q', name], { cwd: into, timeoutMs: fetchTimeoutMs });
  const archive = (await readdir(into)).find((file) => file.startsWith(`${name}_`));
  if (archive === undefined) throw new Error(`apt-get download ${name} left nothing`);
  await run('dpkg-deb', ['-x', join(into, archive), unpacked], { timeoutMs: fetchTimeoutMs });
  await rm(join(into, archive));
  const release = name.replace('linux-image-', '');
  const image = join(into, 'vmlinuz');
  await rename(join(unpacked, 'boot', `vmlinuz-${release}`), image);
  const modules = join(into, 'modules');
  await pickModules(join(unpacked, 'lib/modules', release), join(modules, 'lib/modules', release));
  await run('depmod', ['-b', modules, release]);
  await rm(unpacked, { recursive: true });
  return { release, image, modules };
};

const pickModules = async (from: string, to: string): Promise<void> => {
  for (const path of [...moduleFolders, ...moduleFiles]) {
    await mkdir(join(to, 'kernel', dirname(path)), { recursive: true });
    await run('cp', ['-R', join(from, 'kernel', path), join(to, 'kernel', dirname(path))]);
  }
  for (const name of await readdir(from)) if (name.startsWith('modules.')) await copyFile(join(from, name), join(to, name));
};

/** `/init`, busybox and the boot modules, in load order, as a compressed cpio archive. */
export const makeInitramfs = async (kernel: Kernel, busybox: string, init: string, into: string): Promise<string> => {
  const tree = join(into, 'initramfs');
  await mkdir(join(tree, 'bin'), { recursive: true });
  await mkdir(join(tree, 'modules'));
  await copyFile(busybox, join(tree, 'bin/busybox'));
  await copyFile(init, join(tree, 'init'));
  await run('chmod', ['755', join(tree, 'init'), join(tree, 'bin/busybox')]);
  const directory = join(kernel.modules, 'lib/modules', kernel.release);
  const paths = loadOrder(await readFile(join(directory, 'modules.dep'), 'utf8'), bootModules);
  for (const path of paths) await copyFile(join(directory, path), join(tree, 'modules', basename(path)));
  await writeFile(join(tree, 'modules.order'), paths.map((path) => `${basename(path)}\n`).join(''));
  const archive = join(into, 'initramfs.gz');
  await run('bsdtar', ['--format=newc', '-czf', archive, '-C', tree, '.']);
  await rm(tree, { recursive: true });
  return archive;
};

/** Modules by name with their dependencies first, from modules.dep; one that is built in has no entry and needs none. */
export const loadOrder = (dependencies: string, names: readonly string[]): string[] => {
  const entries = new Map(
    dependencies.split('\n').flatMap((line): [string, string[]][] => {
      const [path, rest] = line.split(':');
      return path === undefined || rest === undefined ? [] : [[path, rest.trim().split(' ').filter(Boolean)]];
    }),
  );
  const order: string[] = [];
  const add = (path: string): void => {
    if (order.includes(path)) return;
    entries.get(path)?.forEach(add);
    order.push(path);
  };
  for (const name of names) for (const path of entries.keys()) if (basename(path) === `${name}.ko`) add(path);
  return order;
};
