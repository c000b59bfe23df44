/**
 * Whom the kernel kills when it finds nothing to reclaim: the process with the most memory and swap, plus its `oom_score_adj` in
 * thousandths of what there is. It knows nothing of guarantees; so those of a machine that borrows are made first by far, and stay so
 * when the governor is dead.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';

/** Before the agent and the host's own, which have 0 at worst: the agent may not always lower its own. Far enough below what is offered. */
export const machineOomScore = 200;
const offeredOomScore = 1000;

/** A machine may have thousands of processes; the event loop gets a turn between so many of them. */
const yieldEvery = 50;
/** A process that divides while it is written to has a child with the former score; the next round finds that. */
const rounds = 3;

export const offerAll = async (pids: () => readonly number[], isOffered: boolean): Promise<void> => {
  const score = isOffered ? offeredOomScore : machineOomScore;
  for (let round = 0; round < rounds; round += 1) {
    let changed = 0;
    for (const [index, pid] of pids().entries()) {
      if (index % yieldEvery === yieldEvery - 1) await turn();
      if (setScore(pid, score, isOffered)) changed += 1;
    }
    if (changed === 0) return;
  }
};

export const isOffered = (pids: readonly number[]): boolean => pids[0] !== undefined && readScore(pids[0]) === offeredOomScore;

/** What has chosen a score for itself keeps it, when nothing is offered any more. */
const setScore = (pid: number, score: number, isRaise: boolean): boolean => {
  const now = readScore(pid);
  if (now === null || now === score || (!isRaise && now !== offeredOomScore)) return false;
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
};

/** Null once it has ended. */
const readScore = (pid: number): number | null => {
  try {
    return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
};
