/**
 * The last resort inside one group: the processes that the kernel itself would kill there, by memory, swap and `oom_score_adj`; no more of
 * them than what is missing takes, and until that has come back.
 */
import { readFileSync } from 'node:fs';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';
import { ProcessHandle } from '../../sys/pidfd.ts';
import type { KilledProcess, KillRequest } from './pool-memory.ts';

/** A machine may have thousands of processes; the event loop gets a turn between so many of them. */
const yieldEvery = 50;
/** Every process has room for so many open files, whether it has any. */
const leastFiles = 64;
const neverKilled = -1000;
const killPending = 1n << 8n;
const pollMs = 3;
/** One that the kernel holds in a call ends when that does: it is not waited for any longer, nor chosen again. */
const mostWaitMs = 500;

/** The group, as it is at the moment. */
interface Group {
  pids: () => readonly number[];
  usedBytes: () => number;
  /** Of that, what is the kernel's own. */
  kernelBytes: () => number;
  /** What the pool may have. */
  limitBytes: number;
}

interface Candidate {
  pid: number;
  /** Some of it may be others' too, so that less comes back: rather that than one killed too many. */
  bytes: number;
  /** Of that, what the kernel holds for it. */
  kernelBytes: number;
  /** Room for open files: the kernel does not tell whose a group's sockets and pipes are, and this says it best. */
  files: number;
  score: number;
}

export const killLargest = async (group: Group, request: KillRequest): Promise<KilledProcess[]> => {
  const candidates: Candidate[] = [];
  for (const [index, pid] of group.pids().entries()) {
    if (index % yieldEvery === yieldEvery - 1) await turn();
    const candidate = judge(pid, group.limitBytes);
    if (candidate !== null) candidates.push(candidate);
  }
  using handles = new DisposableStack();
  const before = group.usedBytes();
  const victims = end(withKernels(candidates, group.kernelBytes()), group, request, handles);
  await Promise.all(victims.map(({ handle }) => handle.releaseMemory()));
  const isLeft = () => before - group.usedBytes() < request.bytes && victims.some((victim) => !hasGivenBack(victim));
  for (const deadline = performance.now() + mostWaitMs; isLeft() && performance.now() < deadline;) await sleep(pollMs);
  return victims.map(({ pid, bytes, command }) => ({ pid, command, memoryMib: Math.round(bytes / 2 ** 20) }));
};

const withKernels = (candidates: readonly Candidate[], kernelBytes: number): Candidate[] => {
  const files = candidates.reduce((sum, one) => sum + one.files, 0);
  if (files === 0) return [...candidates];
  return candidates.map((one) => {
    const bytes = kernelBytes * (one.files / files);
    return { ...one, bytes: one.bytes + bytes, kernelBytes: bytes, score: one.score + bytes };
  });
};

type Victim = Candidate & { command: string; handle: ProcessHandle };

/** In one go, so that little can change between what is read and what is done. */
const end = (candidates: readonly Candidate[], { pids, usedBytes }: Group, { bytes, floorBytes }: KillRequest, handles: DisposableStack): Victim[] => {
  const victims: Victim[] = [];
  let comesBack = 0;
  for (const one of candidates.toSorted((a, b) => b.score - a.score)) {
    if (comesBack >= bytes || usedBytes() - comesBack <= floorBytes) break;
    const opened = ProcessHandle.open(one.pid);
    if (opened === null) continue;
    const handle = handles.use(opened);
    const command = procFile(one.pid, 'comm').trim();
    // The number may have gone to a process elsewhere before it was opened.
    if (!pids().includes(one.pid) || !handle.kill()) continue;
    comesBack += one.bytes;
    victims.push({ ...one, command, handle });
  }
  return victims;
};

const judge = (pid: number, limitBytes: number): Candidate | null => {
  const status = procFile(pid, 'status');
  const bytes = residentBytes(status);
  const total = bytes + valueOf(status, 'VmSwap');
  const adjust = Number(procFile(pid, 'oom_score_adj'));
  if (total === 0 || adjust === neverKilled || isDying(status)) return null;
  return { pid, bytes, kernelBytes: 0, files: Math.max(0, numberOf(status, 'FDSize') - leastFiles), score: total + (adjust * limitBytes) / 1000 };
};

/** Its own memory goes at once; what the kernel holds for it goes last, with its open files, once all of its threads are over. */
const hasGivenBack = ({ pid, bytes, kernelBytes }: Candidate): boolean => {
  const status = procFile(pid, 'status');
  if (kernelBytes < bytes / 4) return residentBytes(status) <= bytes / 4;
  return status === '' || (/^State:\s+[ZX]/m.test(status) && numberOf(status, 'Threads') <= 1);
};
const residentBytes = (status: string): number => valueOf(status, 'VmRSS');
const valueOf = (status: string, key: string): number => numberOf(status, key) * 1024;
const numberOf = (status: string, key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
const isDying = (status: string): boolean =>
  [...status.matchAll(/^(?:Sig|Shd)Pnd:\s+([0-9a-f]+)$/gm)].some(([, mask]) => (BigInt(`0x${mask}`) & killPending) !== 0n);

/** Empty once it has ended. */
const procFile = (pid: number, name: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
};
