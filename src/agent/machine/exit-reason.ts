/** How a machine ended, in words. */
import { constants } from 'node:os';
import type { CgroupUsage } from '../../host/cgroup/cgroup.ts';
import type { RuntimeExit } from '../../host/runtime/runtime.ts';
import type { MachineExit } from '../../model/machine.ts';

const signalNames = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** What its group counted when it ended: what it met there may be the reason. */
export type LastCounts = Pick<CgroupUsage, 'outOfMemoryKills' | 'memoryLimitMib' | 'refusedProcesses'>;

/** `code` as conmon writes it: 128 + signal when one ended it. */
export const exitOf = (code: number, at: string, counts: LastCounts): MachineExit => {
  const signal = code > 128 && code < 128 + 65 ? (signalNames.get(code - 128) ?? null) : null;
  const outOfMemory = counts.outOfMemoryKills > 0 && code === 137;
  const reason = outOfMemory
    ? `killed for want of memory: it had all of the ${Math.round(counts.memoryLimitMib)}M that it may have`
    : signal !== null
      ? `ended by ${signal}`
      : `exited with code ${code}${metBefore(counts)}`;
  return { code, signal, outOfMemory, at, reason };
};

/** Of a run; null where nobody knows how it ended but that it was killed. */
export const endOf = (exit: RuntimeExit | null, counts: LastCounts): MachineExit => exitOf(exit?.code ?? 137, exit?.at ?? new Date().toISOString(), counts);

/** Programs end of themselves when the kernel refuses them something; what that was, they seldom say. */
const metBefore = ({ outOfMemoryKills, refusedProcesses }: LastCounts): string => {
  const met = [
    ...(outOfMemoryKills > 0 ? [`${outOfMemoryKills} of its processes ${outOfMemoryKills === 1 ? 'was' : 'were'} killed for want of memory`] : []),
    ...(refusedProcesses > 0 ? [`it had reached its limit of processes ${refusedProcesses === 1 ? 'once' : `${refusedProcesses} times`}`] : []),
  ];
  return met.length === 0 ? '' : ` after ${met.join(' and ')}`;
};

/** Of a machine that did not come to run. */
export const failedStart: MachineExit = { code: 1, signal: null, outOfMemory: false, at: '', reason: '' };
