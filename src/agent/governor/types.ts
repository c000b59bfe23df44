/** What goes into the governor's decisions and what comes out: sizes in bytes, times in milliseconds of a clock that only goes forward. */
import type { HostMemory, KillRequest, PoolTotals, Protection, ReclaimRequest } from '../../host/cgroup/pool-memory.ts';

export interface MachineReading {
  id: string;
  usedBytes: number;
  /** What holds now. */
  limitBytes: number;
  guaranteeBytes: number;
  /** Its ceiling, or the pool where it has none: what holds when there is no need. */
  ceilingBytes: number;
  /** What the kernel could take of it at all, of those that borrow in need; 0 when that was not looked at. */
  takeableBytes: number;
}

/** A reclaim that has ended since the last decision. */
export interface Outcome {
  machine: string;
  askedBytes: number;
  freedBytes: number;
  /** What else could be taken from it; Infinity when that is not known. */
  leftBytes: number;
}

/** `totals`: two numbers for all machines together. `watched`: also the few that matter. `all`: every running machine. */
export type Look = 'totals' | 'watched' | 'all';

export interface Readings {
  look: Look;
  pool: PoolTotals;
  host: HostMemory;
  machines: readonly MachineReading[];
  /** What is being reclaimed from whom at this moment, or comes back from those that were killed; nothing else is asked of these. */
  busy: ReadonlyMap<string, number>;
  outcomes: readonly Outcome[];
  /** What the last look at all machines took. */
  lookCostMs: number;
}

export type Action =
  | { do: 'limit'; machine: string; bytes: number; maySwap: boolean }
  | { do: 'swap'; machine: string; isAllowed: boolean; ceilingBytes: number }
  | { do: 'protect'; machine: string; protection: Protection }
  | { do: 'offer'; machine: string; isOffered: boolean }
  | ({ do: 'reclaim'; machine: string } & Omit<ReclaimRequest, 'ceilingBytes'>)
  | ({ do: 'kill'; machine: string; numbers: Numbers } & KillRequest);

/** What was true when something was done to a machine, for the event that tells of it. */
export interface Numbers {
  usedBytes: number;
  guaranteeBytes: number;
  ceilingBytes: number;
  limitBytes: number;
  headroomBytes: number;
  reserveBytes: number;
  swapFreeBytes: number;
  reclaimedBytes: number;
  claimant: string | null;
}

export type Report = { type: 'reclaimed'; machine: string; numbers: Numbers; milliseconds: number } | { type: 'held'; machine: string; numbers: Numbers };

/** A machine above its guarantee, or held below its ceiling. */
export interface Watch {
  /** When the last need began that took from it; null when there is none. */
  needSinceMs: number | null;
  lastTakenMs: number;
  reclaimedBytes: number;
  /** Until then nothing is asked of it, since nearly nothing came of the last attempt. */
  dryUntilMs: number;
  /** Since when nearly nothing came of any attempt to take back; null when the last one gave. */
  drySinceMs: number | null;
  /** What that attempt left that could be taken at all; Infinity when that is not known. */
  leftBytes: number;
  /** Null when that is not known. */
  protection: Protection | null;
  /** Kept from having more in swap, because there is none left. */
  isSwapHeld: boolean;
  /** The kernel kills here first, where it must. */
  isOffered: boolean;
  /** When the two were last written: a resize writes limits anew, and a machine started anew has new processes. */
  assertedAtMs: number;
  /** Its hold was told of, until it is let go. */
  isToldHeld: boolean;
}

export interface GovernorState {
  isTight: boolean;
  watched: ReadonlyMap<string, Watch>;
  /** At the last look at all of them: what they used, and how much of their guarantees they did not. */
  usedAtLook: ReadonlyMap<string, number>;
  poolAtLookBytes: number;
  unclaimedAtLook: ReadonlyMap<string, number>;
  unclaimedAtLookBytes: number;
  /** As far as it is known since: those that are watched are seen in between. */
  unclaimedBytes: number;
  lookedAtMs: number;
  /** When what kind of thing was last told of which machine, as far as that is recent. */
  toldAtMs: ReadonlyMap<string, number>;
  claimant: string | null;
  /** Whose memory is not to be swapped at all while claims are met, and since when nothing was missing for them; null while something is. */
  barred: ReadonlySet<string>;
  metSinceMs: number | null;
}

export interface Decision {
  state: GovernorState;
  actions: Action[];
  reports: Report[];
  next: { look: Look; afterMs: number };
}
