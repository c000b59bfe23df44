/**
 * Compressed swap in memory, where a host has no swap at all: without any, a memory ceiling has nothing to push cold pages to,
 * and borrowed memory cannot be taken back but by a kill. Never a reason to fail.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { messageOf } from '../base/errors.ts';
import { installed, run, runAny } from '../exec/run.ts';

const control = '/sys/class/zram-control';
const priority = '100';

export const hasSwap = (): boolean => {
  try {
    return readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
  } catch {
    return false;
  }
};

export type ZramOutcome = { made: string; sizeMib: number } | { made: null; why: string };

/** `note` is told the device before it is used as swap. */
export const ensureZram = async (note: (device: string) => Promise<void>, sizeMib = Math.floor(totalmem() / 2 / 1024 / 1024)): Promise<ZramOutcome> => {
  if (hasSwap()) return { made: null, why: 'the host has swap' };
  if (!existsSync(control) && (await installed('modprobe'))) await runAny('modprobe', ['zram']);
  if (!existsSync(control)) return { made: null, why: 'this kernel has no zram' };
  let number: string | null = null;
  try {
    number = readFileSync(`${control}/hot_add`, 'utf8').trim();
    if (!/^\d+$/.test(number)) return { made: null, why: 'the kernel gave no zram device' };
    const device = `/dev/zram${number}`;
    await note(device);
    const block = `/sys/block/zram${number}`;
    const algorithms = readFileSync(`${block}/comp_algorithm`, 'utf8');
    const preferred = ['zstd', 'lz4'].find((name) => algorithms.includes(name));
    if (preferred !== undefined) writeFileSync(`${block}/comp_algorithm`, preferred);
    writeFileSync(`${block}/disksize`, `${sizeMib}M`);
    await run('mkswap', [device]);
    await run('swapon', ['--priority', priority, device]);
    return { made: device, sizeMib };
  } catch (error) {
    if (number !== null) removeDevice(number);
    return { made: null, why: messageOf(error) };
  }
};

export const removeZram = async (device: string): Promise<void> => {
  const number = /^\/dev\/zram(\d+)$/.exec(device)?.[1];
  if (number === undefined || !existsSync(device)) return;
  if (readFileSync('/proc/swaps', 'utf8').includes(`${device} `)) await run('swapoff', [device], { timeoutMs: 300_000 });
  removeDevice(number);
};

const removeDevice = (number: string): void => {
  try {
    writeFileSync(`/sys/block/zram${number}/reset`, '1');
    writeFileSync(`${control}/hot_remove`, number);
  } catch {
    // a device the kernel had from its start cannot be removed; reset, it takes no memory
  }
};
