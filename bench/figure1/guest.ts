/** A tenant's virtual machine: qemu with a processor, memory of one slice, a disk layer of its own and qemu's user network. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../src/exec/run.ts';
import { ask } from '../lib/web.ts';
import type { GuestImage } from './guest-image.ts';
import type { Target } from './sender.ts';

export type Accelerator = 'kvm' | 'tcg';

export interface Guest extends AsyncDisposable {
  target: Target;
  /** qemu's. */
  pid: number;
  /** From the start of qemu to the app's first answer. */
  firstAnswerMs: number;
  /** What the guest's memory holds of this host's; what qemu itself takes is beside it, and very different when it emulates. */
  memoryMib(): number;
  /** What its layer of the disk holds. */
  layerMib(): number;
}

const askEveryMs = 50;
const patienceMs = { kvm: 30_000, tcg: 180_000 } as const;
/** The emulator's fastest that Node runs on; the host's own where it is not emulated. */
const processor = { kvm: 'host', tcg: 'Nehalem' } as const;

export const bootGuest = async (image: GuestImage, memoryMib: number, accelerator: Accelerator): Promise<Guest> => {
  await using undo = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'figure1-guest-'));
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const layer = join(directory, 'layer.qcow2');
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image.disk, '-F', 'raw', layer]);
  const target = { host: '127.0.0.1', port: await freePort() };
  const argv = [
    ['-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi', '-cpu', processor[accelerator], '-smp', '1', '-m', String(memoryMib)],
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-kernel', image.kernel, '-initrd', image.initramfs],
    ['-append', 'panic=-1 quiet loglevel=3 mitigations=off', '-device', 'virtio-rng-pci'],
    ['-drive', `file=${layer},format=qcow2,if=none,id=disk,cache=unsafe`, '-device', 'virtio-blk-pci,drive=disk'],
    ['-netdev', `user,id=net,restrict=on,hostfwd=tcp:${target.host}:${target.port}-:80`, '-device', 'virtio-net-pci,netdev=net'],
  ].flat();
  const begun = performance.now();
  const child = start('setpriv', ['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64', ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
  undo.defer(() => kill(child));
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-500)));
  await firstAnswer(target, child, patienceMs[accelerator]).catch((cause: unknown) => {
    throw new Error(`the virtual machine did not answer (${accelerator}): ${complaint.trim()}`, { cause });
  });
  const firstAnswerMs = performance.now() - begun;
  const held = undo.move();
  return {
    target,
    pid: child.pid!,
    firstAnswerMs,
    memoryMib: () => heldMib(child.pid!, memoryMib),
    layerMib: () => (statSync(layer).blocks * 512) / 2 ** 20,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
};

/** Of the one mapping that is as large as the guest's memory. `child` is qemu itself: setpriv has become it. */
const heldMib = (pid: number, memoryMib: number): number => {
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const size = new RegExp(`^Size:\\s+${memoryMib * 1024} kB$`, 'm');
  const guest = mappings.find((mapping) => size.test(mapping));
  const held = /^Rss:\s+(\d+) kB$/m.exec(guest ?? '')?.[1];
  if (held === undefined) throw new Error(`qemu has no mapping of ${memoryMib} MiB`);
  return Number(held) / 1024;
};

/** qemu takes connections before the guest can: so many are tried at a time, and the first that is answered counts. */
const firstAnswer = async (target: Target, child: ChildProcess, forMs: number): Promise<void> => {
  let answered = false;
  for (const deadline = performance.now() + forMs; !answered; await sleep(askEveryMs)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('qemu has ended');
    if (performance.now() > deadline) throw new Error(`no answer within ${forMs / 1000} s`);
    ask(target, '/healthz').then(
      () => (answered = true),
      () => {}, // not yet
    );
  }
};

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

const kill = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
};
