/** The last resort inside one group: the process that the kernel itself would kill there, by memory, swap and `oom_score_adj`. */
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';
import type { KilledProcess } from './pool-memory.ts';

/** A machine may have thousands of processes; the event loop gets a turn between so many of them. */
const yieldEvery = 50;
const neverKilled = -1000;

interface Candidate {
  pid: number;
  memoryKib: number;
  score: number;
}

/** `pids` is asked again just before the kill: a number may have gone to a process elsewhere meanwhile. */
export const killLargestOf = async (pids: () => readonly number[], limitBytes: number): Promise<KilledProcess | null> => {
  let worst: Candidate | null = null;
  for (const [index, pid] of pids().entries()) {
    if (index % yieldEvery === yieldEvery - 1) await turn();
    const candidate = judge(pid, limitBytes / 1024);
    if (candidate !== null && (worst === null || candidate.score > worst.score)) worst = candidate;
  }
  if (worst === null) return null;
  const command = procFile(worst.pid, 'comm').trim();
  if (!pids().includes(worst.pid)) return null;
  try {
    process.kill(worst.pid, 'SIGKILL');
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return null;
    throw error;
  }
  return { pid: worst.pid, command, memoryMib: Math.round(worst.memoryKib / 1024) };
};

const judge = (pid: number, limitKib: number): Candidate | null => {
  const status = procFile(pid, 'status');
  const value = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  const memoryKib = value('VmRSS') + value('VmSwap');
  const adjust = Number(procFile(pid, 'oom_score_adj'));
  if (memoryKib === 0 || adjust === neverKilled) return null;
  return { pid, memoryKib, score: memoryKib + (adjust * limitKib) / 1000 };
};

/** Empty once it has ended. */
const procFile = (pid: number, name: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
};
