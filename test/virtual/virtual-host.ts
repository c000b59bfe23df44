/**
 * A host to test on that is not this one: Debian's stock kernel under qemu, cgroup v2 only, with PSI and full btrfs quotas, and with a
 * power switch. Where qemu must emulate the processor (the default: it works everywhere), computing is some 15 times slower than here.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run as runHere, start } from '../../src/exec/run.ts';
import { Channel, ports } from './channel.ts';
import type { GuestResult, GuestRunOptions } from './channel.ts';
import { checkout, ensureImage, makeDisk } from './image.ts';
import { createVirtualDisk } from './virtual-disk.ts';
import type { VirtualDisk } from './virtual-disk.ts';

export interface VirtualHostOptions {
  /** Of an earlier virtual host, which has ended; without one, a new disk that goes with the host. */
  disk?: VirtualDisk | undefined;
  memoryMib?: number | undefined;
  /** What its first process is: one that only reaps and serves commands (the default, which boots soonest), or systemd. */
  init?: 'plain' | 'systemd' | undefined;
  /** More for the kernel's command line. */
  kernelArguments?: readonly string[] | undefined;
  processors?: number | undefined;
  /** qemu's -cpu: what Node needs and no more, since an emulator takes twice the time for the newest. */
  processorModel?: string | undefined;
  /** qemu's -accel; KVM where it can start a stock kernel. */
  accelerator?: string | undefined;
  note?: ((text: string) => void) | undefined;
}

export interface VirtualHost extends AsyncDisposable {
  /** From the start of qemu until a command was answered. */
  bootMs: number;
  disk: VirtualDisk;
  /** A command line for the guest's bash, as root, in `/`. Whatever its exit code. */
  run(command: string, options?: GuestRunOptions): Promise<GuestResult>;
  /** The same, and its exit code must be 0; gives standard output. */
  succeed(command: string, options?: GuestRunOptions): Promise<string>;
  /** Pulls the plug. */
  kill(): Promise<void>;
  /** Shuts down in order; fails when it does not end. */
  stop(): Promise<void>;
  /** What the kernel said. */
  console(): string;
}

const inits = { plain: '/etc/virtual-host/init', systemd: '/usr/sbin/init' } as const;
const bootTimeoutMs = 180_000;
const stopTimeoutMs = 240_000;

/** A disk for hosts one after another. */
export const newDisk = async (note?: (text: string) => void): Promise<VirtualDisk> => createVirtualDisk((await ensureImage(note)).disk);

/**
 * One thread for all processors of the guest: with one for each, Node inside ended by a fault of its own once in some ten lives, on a busy host
 * (https://github.com/espressif/qemu/issues/175 has it once in fifteen, and never so).
 */
const emulation = 'tcg,thread=single';

export const startVirtualHost = async (options: VirtualHostOptions = {}): Promise<VirtualHost> => {
  const image = await ensureImage(options.note);
  await using undo = new AsyncDisposableStack();
  const disk = options.disk ?? undo.use(await createVirtualDisk(image.disk));
  const consolePath = join(disk.directory, 'console.log');
  const layer = await disk.newLayer();
  const sockets = ports.map((name) => join(disk.directory, name));
  // Those of the host before would be taken for this one's.
  for (const path of sockets) await rm(path, { force: true });
  const begun = performance.now();
  const argv = [
    ['-accel', options.accelerator ?? emulation, '-cpu', options.processorModel ?? 'Nehalem', '-smp', String(options.processors ?? 2)],
    ['-m', String(options.memoryMib ?? 2048), '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ['-kernel', image.kernel, '-initrd', image.initramfs, '-append', kernelLine(options)],
    ['-serial', `file:${consolePath}`, '-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
    drive('disk', `file=${layer},format=qcow2,cache=unsafe`),
    drive('checkout', `file=${await copyCheckout(disk.directory)},format=raw,readonly=on`),
    drive('modules', `file=${image.modules},format=raw,readonly=on`),
    ...ports.map((name, index) => [
      '-chardev',
      `socket,id=${name},path=${sockets[index]},server=on,wait=off`,
      '-device',
      `virtserialport,chardev=${name},name=${name}`,
    ]),
  ].flat();
  // It ends with us, however we end.
  const child = start('setpriv', ['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64', ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
  undo.defer(() => kill(child));
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-2000)));
  const console = (): string => (existsSync(consolePath) ? readFileSync(consolePath, 'utf8') : '');
  const why = (): Error => new Error(`the virtual host has ended. ${complaint.trim()} ${console().slice(-500)}`);
  while (!sockets.every((path) => existsSync(path))) {
    if (hasEnded(child)) throw why();
    await sleep(10);
  }
  const channel = new Channel(sockets);
  child.once('exit', () => channel.close(why()));
  undo.defer(() => channel.close(new Error('the virtual host was closed')));
  await channel.run('true', { timeoutMs: bootTimeoutMs }).catch((error: unknown) => {
    throw new Error(`the virtual host did not boot: ${console().slice(-2000)}`, { cause: error });
  });
  const bootMs = performance.now() - begun;
  const run = (command: string, runOptions?: GuestRunOptions): Promise<GuestResult> => channel.run(command, runOptions);
  const held = undo.move();
  return {
    bootMs,
    disk,
    run,
    succeed: async (command, runOptions) => {
      const { code, stdout, stderr } = await run(command, runOptions);
      if (code !== 0) throw new Error(`${command.slice(0, 300)} ended with code ${code}: ${stderr.slice(-2000)}${stdout.slice(-1000)}`);
      return stdout.trimEnd();
    },
    kill: () => kill(child),
    stop: async () => {
      const ended = hasEnded(child) ? Promise.resolve([]) : once(child, 'exit', { signal: AbortSignal.timeout(stopTimeoutMs) });
      channel.run(options.init === 'systemd' ? 'systemctl poweroff' : 'sync; busybox poweroff -f').catch(() => {}); // it ends before it answers
      await ended.catch((cause: unknown) => {
        throw new Error(`the virtual host did not shut down: ${console().slice(-2000)}`, { cause });
      });
    },
    console,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
};

const kernelLine = ({ init = 'plain', kernelArguments = [] }: VirtualHostOptions): string =>
  ['console=ttyS0 panic=-1 mitigations=off quiet loglevel=4', `checkout=${checkout}`, `init=${inits[init]}`, ...kernelArguments].join(' ');

const drive = (id: string, options: string): string[] => ['-drive', `${options},if=none,id=${id}`, '-device', `virtio-blk-pci,drive=${id}`];

/** As it is now: what is edited while the host runs must not show there, and half a file least of all. */
const copyCheckout = async (into: string): Promise<string> => {
  const [tree, image] = [join(into, 'checkout'), join(into, 'checkout.raw')];
  await rm(tree, { recursive: true, force: true });
  await mkdir(join(tree, 'node_modules'), { recursive: true, mode: 0o755 });
  const parts = ['cenote', 'package.json', 'package-lock.json', 'src', 'examples', 'test'];
  await runHere('cp', ['-R', '--preserve=mode,timestamps', ...parts.map((name) => join(checkout, name)), tree]);
  // By its age the launcher tells whether packages are missing; those on the other disk may be of an earlier run's, for the same list.
  await utimes(join(tree, 'package-lock.json'), 0, 0);
  await makeDisk('checkout', tree, image);
  return image;
};

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

const kill = async (child: ChildProcess): Promise<void> => {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
};
