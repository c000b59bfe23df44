/**
 * The memory of one instance's machines, as the governor sees and moves it: the same few verbs over cgroup v1 and v2. Reads are cheap
 * and synchronous; what may wait for the kernel to free pages is a promise, worked off beside the event loop.
 */
export interface PoolTotals {
  /** What all machines together may use. */
  limitBytes: number;
  /** With what is in swap beyond the part that is theirs: it is missing as memory. */
  usedBytes: number;
  /** What they may still push to swap together, as far as it is theirs; the host may have less. */
  swapLeftBytes: number;
}

export interface MachineMemory {
  usedBytes: number;
  /** What holds now: its ceiling, or less while the governor holds it. */
  limitBytes: number;
}

export interface Leftover {
  isSwapHeld: boolean;
  isOffered: boolean;
}

export interface KilledProcess {
  pid: number;
  command: string;
  /** With what the kernel holds for it, as far as that can be told. */
  memoryMib: number;
}

export interface Hold {
  /** What it may grow to. Below what it uses already nothing is freed or killed: it is held at that. */
  bytes: number;
  /** What it may have when it is not held. */
  ceilingBytes: number;
  /** Whether there is swap left for it: on v2 it then waits at the hold for as long as the kernel takes, and is not killed there. */
  maySwap: boolean;
}

/** File pages are taken first. */
export interface ReclaimRequest {
  bytes: number;
  ceilingBytes: number;
  /** Its own memory too, to swap, when there are not enough of them. */
  maySwap: boolean;
  /** Its guarantee: it may have given back by itself, since that was decided. */
  floorBytes: number;
}

export interface Reclaimed {
  freedBytes: number;
  /**
   * What else could be taken, by the kernel's lists of pages; what is on none of them is the kernel's own or locked. Infinity where that was
   * not looked at: it did not give little, or only cache was asked for.
   */
  leftBytes: number;
}

/** So little that there may be no more. */
export const gaveLittle = (askedBytes: number, freedBytes: number): boolean => freedBytes < askedBytes / 4;

export interface KillRequest {
  bytes: number;
  /** Its guarantee: nothing is killed in one that is within it, or will be when those that were killed before have ended. */
  floorBytes: number;
}

/**
 * How far a neighbour's need may push a machine's memory to swap. `spared`: last, which on v1 still costs some of its files in memory.
 * `barred`: not at all, and so it is killed beside swap where nothing else can be taken, such as at a limit of its own.
 */
export type Protection = 'none' | 'spared' | 'barred';

export interface PoolMemory {
  totals(): PoolTotals;
  /** Null when it has no group (any more). */
  read(machine: string): MachineMemory | null;
  /** What the kernel could take of it at all, by its lists of pages: what is on none of them is the kernel's own or locked. */
  takeable(machine: string): number;
  /** The most that it has used since its group was made; null where the kernel does not tell. */
  peak(machine: string): number | null;
  /** How often the kernel has killed inside since the group was made. */
  kills(machine: string): number;
  /** Lets it grow so far and no further. */
  limit(machine: string, hold: Hold): Promise<void>;
  /** cgroup v2 knows by itself, from the guarantee. */
  protect(machine: string, protection: Protection): void;
  /** Whether it may have more in swap than it has, up to so much memory and swap together. */
  allowSwap(machine: string, isAllowed: boolean, ceilingBytes: number): Promise<void>;
  /** Whether the kernel, where it finds nothing to reclaim for a neighbour, is to kill here first, or by what the machine is guaranteed. */
  offer(machine: string, isOffered: boolean, guaranteeBytes: number): Promise<void>;
  /** What a governor before this one has left: kept from swap, or offered. */
  leftover(machine: string, ceilingBytes: number): Leftover;
  /** Takes up to `bytes` from it, and holds it at what is left, but never below the floor. */
  reclaim(machine: string, request: ReclaimRequest): Promise<Reclaimed>;
  /** Kills the processes inside that the kernel would choose, until enough comes back; resolves when it has. */
  kill(machine: string, request: KillRequest): Promise<KilledProcess[]>;
}

export interface HostMemory {
  /** What could be used without swapping. */
  availableBytes: number;
  swapFreeBytes: number;
}
