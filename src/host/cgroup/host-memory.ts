/** The host's memory as a whole, from `/proc`. */
import { readFileSync } from 'node:fs';
import type { HostMemory } from './pool-memory.ts';

const kib = 1024;

export const parseMeminfo = (text: string): HostMemory => {
  const value = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * kib;
  return { availableBytes: value('MemAvailable'), swapFreeBytes: value('SwapFree') };
};

export const readHostMemory = (): HostMemory => parseMeminfo(readFileSync('/proc/meminfo', 'utf8'));

/** How often the kernel has killed for want of memory, anywhere on the host: one number that tells when to look at machines. */
export const readHostKills = (): number => Number(/^oom_kill (\d+)/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
