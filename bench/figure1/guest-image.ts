/**
 * What a tenant has where each has a virtual machine: a small Debian of its own, a kernel, Node and the app. As lean as it can be, to be
 * fair to it: no boot loader, no systemd, only the packages that are needed. Made once and kept in a cache.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { buildDebian } from '../../src/host/platform/debian-build.ts';
import { lockFile } from '../../src/sys/flock.ts';
import { fetchKernel, kernelPackage, makeInitramfs } from '../../test/virtual/kernel.ts';
import { installPackages } from '../lib/packages.ts';
import { app } from './tenants.ts';

const cache = '/var/cache/cenote-figure1';
const diskMib = 2048;
const timeoutMs = 15 * 60_000;
const packages = ['busybox-static', 'iproute2', 'kmod', 'libatomic1'];
const hostPackages = ['qemu-system-x86', 'qemu-utils', 'kmod', 'mmdebstrap', 'libarchive-tools'];
const initramfsScript = join(import.meta.dirname, '../../test/virtual/guest/initramfs.sh');

export interface GuestImage {
  kernel: string;
  initramfs: string;
  /** Raw and never written to: each virtual machine writes to a layer of its own above it. */
  disk: string;
  /** What the image holds, in MiB, and how many packages there are to patch in it. */
  usedMib: number;
  packages: number;
}

/** qemu's own user network: the guest is always 10.0.2.15. */
const bootScript = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
modprobe virtio_net
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
`;
const inittab = `::sysinit:/etc/tenant/boot.sh
::respawn:/etc/tenant/app.sh
::ctrlaltdel:/bin/busybox poweroff -f
`;
const appScript = `#!/bin/sh
cd /app
exec /opt/node/bin/node .
`;

export const ensureGuestImage = async (note: (text: string) => void): Promise<GuestImage> => {
  await mkdir(cache, { recursive: true, mode: 0o700 });
  using _lock = await lockFile(join(cache, 'lock'), { timeoutMs });
  await installPackages({ note }, hostPackages);
  const kernel = await kernelPackage();
  const directory = join(cache, keyOf(kernel));
  if (!existsSync(directory)) await makeImage(kernel, directory, note);
  const facts = JSON.parse(readFileSync(join(directory, 'facts.json'), 'utf8')) as Pick<GuestImage, 'usedMib' | 'packages'>;
  return { kernel: join(directory, 'vmlinuz'), initramfs: join(directory, 'initramfs.gz'), disk: join(directory, 'disk.raw'), ...facts };
};

const makeImage = async (kernel: string, directory: string, note: (text: string) => void): Promise<void> => {
  note(`making the disk of the virtual machines (${kernel}); later runs find it in ${cache}`);
  for (const name of await readdir(cache)) if (name !== 'lock') await rm(join(cache, name), { recursive: true, force: true });
  const staged = join(cache, 'staged');
  await mkdir(staged);
  const fetched = await fetchKernel(kernel, staged);
  const root = join(staged, 'root');
  await mkdir(root);
  await buildDebian(root, packages, () => {}, AbortSignal.timeout(timeoutMs));
  await furnish(root, fetched.modules);
  await makeInitramfs(fetched, join(root, 'bin/busybox'), initramfsScript, staged);
  const count = (readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8').match(/^Package:/gm) ?? []).length;
  // The kernel is one more: with a distribution's package it would be on the disk too.
  const kernelMib = await sizeMib(join(staged, 'vmlinuz'), join(staged, 'initramfs.gz'));
  const facts = { usedMib: (await sizeMib(root)) + kernelMib, packages: count + 1 };
  await writeFile(join(staged, 'facts.json'), JSON.stringify(facts));
  const disk = join(staged, 'disk.raw');
  await writeFile(disk, '');
  await truncate(disk, diskMib * 1024 * 1024);
  await run('mkfs.ext4', ['-q', '-F', '-E', 'assume_storage_prezeroed=1', '-d', root, disk], { timeoutMs });
  await rm(root, { recursive: true });
  await rm(fetched.modules, { recursive: true });
  await rename(staged, directory);
};

const sizeMib = async (...paths: string[]): Promise<number> => {
  const total = (await run('du', ['--summarize', '--total', '--block-size=1K', ...paths])).trim().split('\n').at(-1)!;
  return Number(total.split('\t')[0]) / 1024;
};

const furnish = async (root: string, modules: string): Promise<void> => {
  const own = join(root, 'etc/tenant');
  await mkdir(own);
  for (const [name, text] of [['boot.sh', bootScript] as const, ['app.sh', appScript] as const]) {
    await writeFile(join(own, name), text);
    await chmod(join(own, name), 0o755);
  }
  await writeFile(join(root, 'etc/inittab'), inittab);
  await rm(join(root, 'usr/sbin/init'), { force: true });
  await symlink('/bin/busybox', join(root, 'usr/sbin/init'));
  await run('cp', ['-R', join(modules, 'lib/modules'), join(root, 'usr/lib/')]);
  await mkdir(join(root, 'opt/node/bin'), { recursive: true });
  await copyFile(process.execPath, join(root, 'opt/node/bin/node'));
  await chmod(join(root, 'opt/node/bin/node'), 0o755);
  await cp(app, join(root, 'app'), { recursive: true });
};

const keyOf = (kernel: string): string => {
  const hash = createHash('sha256').update(JSON.stringify([kernel, packages, diskMib, bootScript, inittab, appScript, process.version]));
  for (const name of readdirSync(app).toSorted()) hash.update(name).update(readFileSync(join(app, name)));
  hash.update(readFileSync(initramfsScript));
  return hash.digest('hex').slice(0, 16);
};
