/** What the agent keeps of a machine in its journal: all that is needed to bring it back after a crash or a reboot. */
import type { ErrorBody } from '../../base/errors.ts';
import type { DesiredState, MachineExit, MachineSpec } from '../../model/machine.ts';

export interface MachineRecord {
  spec: MachineSpec;
  /** Highest accepted. */
  generation: number;
  /** How the request of that generation ended; absent while it has not. A repeat of the generation gets this answer. */
  outcome: { error: ErrorBody | null } | null;
  /** `creating`: not acknowledged yet. `deleting`: acknowledged, must be finished. */
  phase: 'creating' | 'ready' | 'deleting';
  desired: DesiredState;
  createdAt: string;
  /** The snapshot its volume was made from. */
  origin: { machine: string; name: string } | null;
  /** The sandbox of the current run; null while nothing runs. Written before the first process exists. */
  slot: number | null;
  /** Paths of the trees the current or last run lies over: a newer platform does not change them beneath it. */
  trees?: string[];
  startedAt: string | null;
  exit: MachineExit | null;
  error: string | null;
  restarts: number;
  /** Of the last update that put another platform or image beneath it; absent: none. */
  etcConflicts?: string[];
  /**
   * An update under way, written before it changes anything: recovery undoes it. `over`: it is settled
   * either way, and only the safety snapshot is left to delete.
   */
  updating?: { former: MachineSpec; formerConflicts: string[]; over: boolean };
  /** Milliseconds each snapshot held the machine still. */
  freezeMs: Record<string, number>;
}
