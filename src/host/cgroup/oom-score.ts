/**
 * Whom the kernel kills when it finds nothing to reclaim: the process with the most memory and swap, plus its `oom_score_adj` in
 * thousandths of what the pool may have. It knows nothing of guarantees, so the score tells it of them: processes start with so much less as
 * their machine is guaranteed, by which one that has more than its guarantee comes before any that has less. What a machine has in many
 * processes is not seen so; those of a machine that borrows are therefore made first by far while the governor lives, and stay so when it is
 * dead.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { isErrno } from '../../base/errno.ts';

const offeredOomScore = 1000;
/** Of a machine that is guaranteed nothing, so that whoever is offered comes before everybody who is not. */
const unguaranteedOomScore = 900;
/** Machines go before the host's own processes, which have 0, and long before the agent. */
const leastOomScore = 10;

/** A machine may have thousands of processes; the event loop gets a turn between so many of them. */
const yieldEvery = 50;
/** A process that divides while it is written to has a child with the former score; the next round finds that. */
const rounds = 3;

/** Of a machine that is guaranteed such a part of the pool. */
export const oomScoreWithin = (part: number): number => Math.max(leastOomScore, Math.round(unguaranteedOomScore - part * 1000));

type Pids = () => readonly number[];

/** `within` is the score of those that are not. What has chosen a score for itself keeps it, when nothing is offered any more. */
export const offerAll = (pids: Pids, isOffered: boolean, within: number): Promise<void> =>
  isOffered ? setAll(pids, (now) => (now === offeredOomScore ? null : offeredOomScore)) : setAll(pids, (now) => (now === offeredOomScore ? within : null));

/** For a machine that is guaranteed more or less than before. */
export const rescoreAll = async (pids: Pids, from: number, to: number): Promise<void> => {
  if (from !== to) await setAll(pids, (now) => (now === from ? to : null));
};

export const isOffered = (pids: readonly number[]): boolean => pids[0] !== undefined && oomScoreOf(pids[0]) === offeredOomScore;

/** What a machine's first process was given, and the others have from it. Null while they are offered, and where it chose one for itself above all that are given. */
export const givenOomScore = (first: number): number | null => {
  const now = oomScoreOf(first);
  return now === null || now > unguaranteedOomScore ? null : now;
};

/** Null once it has ended. */
export const oomScoreOf = (pid: number): number | null => {
  try {
    return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
};

/** `next` says the score for one that has `now`, or null where it is to stay. */
const setAll = async (pids: Pids, next: (now: number) => number | null): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    let changed = 0;
    for (const [index, pid] of pids().entries()) {
      if (index % yieldEvery === yieldEvery - 1) await turn();
      const now = oomScoreOf(pid);
      const score = now === null ? null : next(now);
      if (score !== null && write(pid, score)) changed += 1;
    }
    if (changed === 0) return;
  }
};

/** False once it has ended. */
const write = (pid: number, score: number): boolean => {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
};
