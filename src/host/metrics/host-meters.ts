/** What the whole host does, as /proc tells: all that runs on it, not machines alone. */
import { readFileSync } from 'node:fs';
import { hostPressure } from '../cgroup/pressure.ts';
import { isErrno } from '../../base/errno.ts';
import type { Pressure } from '../../model/machine.ts';

export interface HostMeters {
  cpuBusySeconds: number;
  memoryMib: number;
  memoryAvailableMib: number;
  swapMib: number;
  swapFreeMib: number;
  pressure: Pressure | null;
  /** Of the pool's disk, since the host started. */
  disk: { readBytes: number; writtenBytes: number } | null;
}

const sectorBytes = 512;
/** Ticks of /proc/stat a second: a constant of the kernel's interface. */
const ticks = 100;

/** `device`: the disk as `7:3`. */
export const hostMeters = (device: string | null): HostMeters => ({
  cpuBusySeconds: parseBusySeconds(readFileSync('/proc/stat', 'utf8')),
  ...parseMemory(readFileSync('/proc/meminfo', 'utf8')),
  pressure: hostPressure(),
  disk: device === null ? null : diskMeters(device),
});

/** By all that runs on the host, since each device came up; null where one is away, or none is named. */
export const sentBy = (devices: readonly string[]): number | null => {
  const sent = devices.map((device) => readNumber(`/sys/class/net/${device}/statistics/tx_bytes`));
  return sent.length === 0 || sent.includes(null) ? null : sent.reduce<number>((sum, one) => sum + (one ?? 0), 0);
};

/** The line `cpu`: user nice system idle iowait irq softirq steal; what guests used is in user already. */
export const parseBusySeconds = (stat: string): number => {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = stat.slice(0, stat.indexOf('\n')).split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / ticks;
};

export const parseMemory = (meminfo: string): Pick<HostMeters, 'memoryMib' | 'memoryAvailableMib' | 'swapMib' | 'swapFreeMib'> => {
  const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0) / 1024;
  return { memoryMib: of('MemTotal'), memoryAvailableMib: of('MemAvailable'), swapMib: of('SwapTotal'), swapFreeMib: of('SwapFree') };
};

const diskMeters = (device: string): HostMeters['disk'] => {
  try {
    const fields = readFileSync(`/sys/dev/block/${device}/stat`, 'utf8').trim().split(/\s+/).map(Number);
    return { readBytes: (fields[2] ?? 0) * sectorBytes, writtenBytes: (fields[6] ?? 0) * sectorBytes };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};

/** Null for a file that is not there. */
const readNumber = (path: string): number | null => {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EINVAL')) return null;
    throw error;
  }
};
