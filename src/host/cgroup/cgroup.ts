/** Machines' control groups: one interface over cgroup v2, v1 and hybrid hosts. */
import type { Pressure } from '../../model/machine.ts';
import type { Resources, Unsupported } from '../../model/resources.ts';

export interface CgroupUsage {
  cpuSeconds: number;
  throttledSeconds: number;
  memoryMib: number;
  workingSetMib: number;
  /** Of its own memory, in swap; not in `memoryMib`. */
  swapMib: number;
  processes: number;
  refusedProcesses: number;
  outOfMemoryKills: number;
  /** What holds now. */
  memoryLimitMib: number;
  readBytes: number;
  writtenBytes: number;
  /** Null where the kernel does not tell. */
  pressure: Pressure | null;
}

/** Of a group that is not there. */
export const noUsage: CgroupUsage = {
  cpuSeconds: 0,
  throttledSeconds: 0,
  memoryMib: 0,
  workingSetMib: 0,
  swapMib: 0,
  processes: 0,
  refusedProcesses: 0,
  outOfMemoryKills: 0,
  memoryLimitMib: 0,
  readBytes: 0,
  writtenBytes: 0,
  pressure: null,
};

/** What the machines of an instance may use together. */
export interface PoolAmount {
  memoryMib: number;
  cpuMillis: number;
}

export interface Cgroups {
  readonly layout: 'v2' | 'hybrid';
  /** What cannot be honoured here, and is to be refused before anything has changed. */
  readonly unsupported: readonly Unsupported[];
  /** Memory of all machines together, as it is limited now. */
  readonly poolMib: number;
  /**
   * Theirs together, from now on; memory that they use beyond it is reclaimed. False where that is not enough: what they had before then
   * still holds, nobody is killed, and the caller asks again. Machines that run keep their own limits and scores (`apply`, `rescore`).
   */
  setPool(pool: PoolAmount): Promise<boolean>;
  /** For the OCI specification's `linux.cgroupsPath`. */
  path(machine: string): string;
  /** Moves a machine's monitor to where all of them are: apart from machines, and from whatever is done to the agent. */
  admitMonitor(pid: number): Promise<void>;
  /** Writes the whole of `resources`, in the order that is safe from what is there now; on failure puts the former values back and throws `not_enough` with the measured floor. */
  apply(machine: string, resources: Resources): Promise<void>;
  /** The `oom_score_adj` that processes of a machine of such a guarantee start with. */
  oomScore(guaranteeMib: number): number;
  /** Brings that of those that run in step with another guarantee, or another pool. */
  rescore(machine: string, formerScore: number, score: number): Promise<void>;
  usage(machine: string): Promise<CgroupUsage>;
  /** Pids inside, in the host's numbering. */
  processes(machine: string): Promise<number[]>;
  freeze(machine: string): Promise<void>;
  thaw(machine: string): Promise<void>;
  kill(machine: string): Promise<void>;
  /** Waits until it is empty, bounded, then removes it everywhere. */
  remove(machine: string): Promise<void>;
  list(): Promise<string[]>;
  close(): Promise<void>;
}
