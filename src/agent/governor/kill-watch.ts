/**
 * Sees that the kernel has killed inside a machine for want of memory. One number of the host's tells when there is something to look
 * for; only then are machines asked.
 */
import type { MachineMemory, PoolMemory } from '../../host/cgroup/pool-memory.ts';

export interface Kills {
  machine: string;
  kills: number;
}

export class KillWatch {
  readonly #memory: Pick<PoolMemory, 'kills'>;
  readonly #readHostKills: () => number;
  #hostKills: number;
  /** What has been told of, by machine. Only those in which something was killed. */
  #told: ReadonlyMap<string, number>;

  /** What happened before is not told of again. */
  constructor(memory: Pick<PoolMemory, 'kills'>, readHostKills: () => number, machines: Iterable<string>) {
    this.#memory = memory;
    this.#readHostKills = readHostKills;
    this.#hostKills = readHostKills();
    this.#told = this.#count(machines);
  }

  look(machines: () => Iterable<string>): Kills[] {
    const hostKills = this.#readHostKills();
    if (hostKills === this.#hostKills) return [];
    this.#hostKills = hostKills;
    const now = this.#count(machines());
    const told = this.#told;
    this.#told = now;
    return [...now].flatMap(([machine, count]) => {
      // A machine that was started anew counts from zero.
      const before = told.get(machine) ?? 0;
      const kills = count >= before ? count - before : count;
      return kills > 0 ? [{ machine, kills }] : [];
    });
  }

  #count(machines: Iterable<string>): Map<string, number> {
    return new Map([...machines].map((machine): [string, number] => [machine, this.#memory.kills(machine)]).filter(([, kills]) => kills > 0));
  }
}

/**
 * What a machine used when one in it was killed, from what is read afterwards, when that process' memory is free again: all that it was
 * let have, and no more than it ever used, for it may have been chosen for the host's want before it came to its own limit.
 */
export const usedAtDeath = ({ usedBytes, limitBytes }: MachineMemory, peakBytes: number | null): number =>
  Math.max(usedBytes, Math.min(limitBytes, peakBytes ?? Infinity));
