/** The host's state and make, which every result carries: a figure without them is an anecdote. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export const loadAverage = (): number => Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);

export const memoryTable = (path = '/proc/meminfo'): Record<string, number> =>
  Object.fromEntries(
    readFileSync(path, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const match = /^(\w+(?:\(\w+\))?):\s+(\d+) kB$/.exec(line);
        return match === null ? [] : [[match[1]!, Number(match[2]) / 1024]];
      }),
  );

export interface HostFacts {
  cpu: string;
  cores: number;
  memoryMib: number;
  kernel: string;
  node: string;
}

export const hostFacts = (): HostFacts => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryMib: Math.round(totalmem() / 2 ** 20),
  kernel: release(),
  node: process.version,
});

/** Waits until little else runs; true when it does. */
export const waitForQuiet = async (seconds: number, below = 0.5): Promise<boolean> => {
  for (const deadline = Date.now() + seconds * 1000; ; await sleep(2000)) {
    if (loadAverage() < below) return true;
    if (Date.now() > deadline) return false;
  }
};
