/** How guarantees and ceilings read in the kernel's own numbers. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { CenoteError } from '../../base/errors.ts';
import type { Resources } from '../../model/resources.ts';

/** One period of a CPU ceiling; short periods make throttling worse (linux.md 4.1). */
export const quotaPeriodUs = 100_000;

export const quotaUs = (resources: Resources): number | null =>
  resources.cpuCeilingMillis === null ? null : Math.max(1000, Math.round((resources.cpuCeilingMillis * quotaPeriodUs) / 1000));

/** v1 `cpu.shares`: 1024 a core, the kernel's own default for one group. */
export const sharesOf = (cpuMillis: number): number => Math.min(262_144, Math.max(2, Math.round((cpuMillis * 1024) / 1000)));
export const cpuShares = (resources: Resources): number => sharesOf(resources.cpuMillis);

const weightWithin = (weight: number): number => Math.min(10_000, Math.max(1, Math.round(weight)));

/** v2 `cpu.weight` of all machines together, beside the host's other groups: 100 a core, which is what the kernel gives a group that nobody has touched. */
export const poolWeight = (cpuMillis: number): number => weightWithin(cpuMillis / 10);

/** One for the whole life of a process: weights that are compared were made with the same. */
const hostCpus = availableParallelism();

/**
 * v2 `cpu.weight` of a machine among machines: linear, so that the ratio of two guarantees is the ratio of their weights, and as fine as the
 * 10,000 there are allow for all CPUs of a host: up to ten of them, 1 a thousandth of a core.
 */
export const machineWeight = (cpuMillis: number, cpus: number = hostCpus): number => weightWithin(cpuMillis * Math.min(1, 10 / cpus));
export const cpuWeight = (resources: Resources): number => machineWeight(resources.cpuMillis);

/** Of a limit as the kernel has it; null where there is none. */
export const finiteMib = (bytes: number): number | null => (Number.isFinite(bytes) ? Math.floor(bytes / 2 ** 20) : null);

export const memoryBytes = (mib: number): number => mib * 1024 * 1024;

/** A machine that cannot be brought below what it uses keeps what it had. */
export const tooSmall = (floorBytes: number, askedBytes: number, swappedBytes = 0): CenoteError => {
  const floorMib = Math.ceil(floorBytes / 2 ** 20);
  const askedMib = Math.floor(askedBytes / 2 ** 20);
  // On v1 the ceiling is for both.
  const swapped = swappedBytes < 2 ** 20 ? '' : `, ${Math.floor(swappedBytes / 2 ** 20)}M of it in swap`;
  return new CenoteError('not_enough', `memory cannot be brought below ${floorMib}M, which the machine uses now${swapped}; ${askedMib}M was asked for`, {
    fields: [{ field: 'resources.memoryCeilingMib', message: `at least ${floorMib}M is in use` }],
    advice: 'nothing was changed; let the machine free memory first, or ask for a higher ceiling',
  });
};

/** What of the host's swap the machines of an instance may have together: the part of it that their pool is of the host's memory. */
export const poolSwapBytes = (poolMib: number, meminfo = readFileSync('/proc/meminfo', 'utf8')): number => {
  const total = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
  const memory = total('MemTotal');
  return memory === 0 ? 0 : Math.floor(total('SwapTotal') * Math.min(1, memoryBytes(poolMib) / memory));
};

/** The ceiling in bytes; without one, all the pool has. */
export const memoryLimit = (resources: Resources, poolMib: number): number => memoryBytes(Math.min(resources.memoryCeilingMib ?? poolMib, poolMib));
