/**
 * Trials of the memory laws on a real instance: one machine borrows far beyond its guarantee, in whatever kind of memory, and its
 * neighbours claim theirs all at once. They must have it: none of their allocations fails, nothing is killed in them, nothing of
 * theirs is pushed to swap, and what they wrote is what they read. The borrower slows down and lives; on a host without swap, or where
 * what it borrowed is the kernel's own, it may lose processes instead, and nobody else may.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../src/client/control.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { ifPresent } from '../../src/host/cgroup/files.ts';
import { hasSwap } from '../../src/setup/zram.ts';
import type { TestInstance } from '../support/instance.ts';
import { autopsy, cutSwap, kernelMemory } from '../support/kernel-memory.ts';
import type { KernelMemory } from '../support/kernel-memory.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';
import type { MemoryKind } from '../support/memory-machine.ts';
import { random } from '../support/random.ts';

/** Of an instance of 1 GiB. */
export const poolMib = 1024;
/** Beside so much that is borrowed the neighbours' guarantees do not fit. */
export const missedMib = 600;
const borrowerGuaranteeMib = 64;
const neighbourGuaranteesMib = [96, 160, 224];
/** What the first process of a machine, and the one that takes, need themselves. */
const overheadMib = 12;
const borrowerKinds: readonly MemoryKind[] = ['own', 'own', 'shared', 'cache', 'dirty', 'forks', 'entries', 'sockets', 'platform'];
/** Of these there is only so much: numbers of files and sockets, and what the platform has. */
const smallKinds: ReadonlySet<MemoryKind> = new Set(['entries', 'sockets', 'platform']);
/** The kernel's own, which no reclaim takes. */
const kernelKinds: ReadonlySet<MemoryKind> = new Set(['entries', 'sockets']);
/** Beside more of it than this not all guarantees fit. */
const mostKernelMib = 350;
const claimKinds: readonly MemoryKind[] = ['own', 'own', 'shared'];
const onDiskMostMib = 256;
const emptyWaitMs = 20_000;
/** Less of the borrower's own than this is at rest. */
const restMib = 128;

/** An instance, by its name on the host. */
type Named = Pick<TestInstance, 'instance'>;

export interface Trial {
  seed: number;
  borrowedMib: number;
  claimedMib: number;
  kinds: readonly MemoryKind[];
  /** Until the last neighbour had all it claimed. */
  claimMs: number;
  /** Of neighbours' memory, at the end. */
  swappedMib: number;
  /** By the kernel. */
  borrowerKills: number;
  /** What the borrower did not get, or no longer had, in parts; only where it may lose processes this is no failure. */
  borrowerLost: number;
}

export interface TrialOptions {
  /** What is done while neighbours claim; chance comes from the seed. */
  meanwhile?: (below: (limit: number) => number) => Promise<void>;
  /** What is borrowed at least. */
  leastMib?: number;
  /** At times what is borrowed is still being taken when it is claimed. */
  mayGrow?: boolean;
}

export class PoolWorld {
  readonly borrower: Machine;
  readonly neighbours: readonly Machine[];
  readonly #instance: Named;
  readonly #control: ControlClient;
  #isDry = !hasSwap();
  /** What it borrows of the kernel's own. */
  #kernelMib = 0;

  private constructor(instance: Named, control: ControlClient, borrower: Machine, neighbours: readonly Machine[]) {
    this.#instance = instance;
    this.#control = control;
    this.borrower = borrower;
    this.neighbours = neighbours;
  }

  static async make(instance: Named, control: ControlClient): Promise<PoolWorld> {
    const create = async (name: string, memoryMib: number, diskMib: number): Promise<Machine> => {
      const resources = { memoryMib, diskMib, cpuMillis: 20 };
      const { job, machine } = await control.machineCreate({ name, command: memoryMachineCommand, resources, stopGraceSeconds: 1 }, { wait: 60 });
      assert.equal(job.state, 'succeeded', job.reason ?? '');
      return machine!;
    };
    const borrower = await create('borrower', borrowerGuaranteeMib, onDiskMostMib + 64);
    const neighbours: Machine[] = [];
    for (const [index, memoryMib] of neighbourGuaranteesMib.entries()) neighbours.push(await create(`neighbour-${index}`, memoryMib, 32));
    return new PoolWorld(instance, control, borrower, neighbours);
  }

  /** Until the next start of the agent, and `withSwap`. */
  withoutSwap(): void {
    cutSwap(this.#instance.instance);
    this.#isDry = true;
  }

  withSwap(): void {
    this.#isDry = !hasSwap();
  }

  /** Without swap to push memory to. */
  get isDry(): boolean {
    return this.#isDry;
  }

  /** Whether processes of the borrower may be killed for what neighbours claim. */
  get mayLose(): boolean {
    return this.#isDry || this.#kernelMib > mostKernelMib;
  }

  async trial(seed: number, { meanwhile, leastMib = 200, mayGrow = true }: TrialOptions = {}): Promise<Trial> {
    const below = random(seed);
    const pick = <T>(all: readonly T[]): T => all[below(all.length)]!;
    using held = new DisposableStack();
    const borrowedMib = leastMib + below(poolMib - 100 - leastMib);
    const kinds: MemoryKind[] = [];
    this.#kernelMib = 0;
    const borrowing: Promise<void>[] = [];
    let borrowerLost = 0;
    const before = this.#kernel(this.borrower).kills;
    let onDiskMib = 0;
    for (let left = borrowedMib; left > 0;) {
      const wanted = pick(borrowerKinds);
      const isOnDisk = (wanted === 'dirty' || wanted === 'cache') && onDiskMib <= onDiskMostMib - 96;
      const kind = wanted === 'dirty' || wanted === 'cache' ? (isOnDisk ? wanted : 'own') : wanted;
      const part = Math.min(left, isOnDisk || smallKinds.has(kind) ? 32 + below(64) : 64 + below(400));
      if (isOnDisk) onDiskMib += part;
      if (kernelKinds.has(kind)) this.#kernelMib += part;
      const taker = held.use(await MemoryTaker.at(this.borrower.address));
      kinds.push(kind);
      const taking = this.#orLost(taker.take(kind, part), () => (borrowerLost += 1));
      taking.catch(() => {}); // heard below
      borrowing.push(taking);
      left -= part;
    }
    // Mostly it has what it borrows when it is claimed; at times it is just taking it, as fast as it can.
    const stillGrowing = below(4) === 0 && mayGrow;
    if (!stillGrowing) await Promise.all(borrowing);
    const begun = performance.now();
    let claimedMib = 0;
    const claims = this.neighbours.map(async (neighbour) => {
      const mine = neighbour.resources.memoryMib - overheadMib;
      const part = below(5) === 0 ? 1 + below(mine) : mine;
      claimedMib += part;
      const kind = pick(claimKinds);
      const taker = held.use(await MemoryTaker.at(neighbour.address));
      await taker.take(kind, part);
      return taker;
    });
    const claiming = Promise.all(claims);
    claiming.catch(() => {}); // heard below
    await meanwhile?.(below);
    const takers = await this.#told(seed, claiming);
    const claimMs = performance.now() - begun;
    await this.#told(seed, Promise.all(borrowing));
    await this.#told(seed, Promise.all(takers.map((taker) => taker.check())));
    await this.#told(seed, this.#noneKilledWithin());
    return { seed, borrowedMib, claimedMib, kinds, claimMs, borrowerLost, ...this.#swapAndKills(before) };
  }

  /** The borrower holds ten times its guarantee, and all claim all of theirs. */
  async tenTimes(kind: MemoryKind = 'own', claimed: MemoryKind = 'own'): Promise<Pick<Trial, 'claimMs' | 'swappedMib' | 'borrowerKills' | 'borrowerLost'>> {
    using held = new DisposableStack();
    const before = this.#kernel(this.borrower).kills;
    const borrowed = held.use(await MemoryTaker.at(this.borrower.address));
    const borrowedMib = 10 * borrowerGuaranteeMib;
    this.#kernelMib = kernelKinds.has(kind) ? borrowedMib : 0;
    await borrowed.take(kind, borrowedMib);
    const claimMs = await this.#claimAll(held, claimed);
    let borrowerLost = 0;
    await this.#orLost(borrowed.take(kind, 0), () => (borrowerLost += 1));
    return { claimMs, borrowerLost, ...this.#swapAndKills(before) };
  }

  /** What the same claims take where nobody has borrowed: the kernel's own part. */
  async claimedAlone(): Promise<number> {
    using held = new DisposableStack();
    return await this.#claimAll(held, 'own');
  }

  /** Milliseconds until all neighbours have all of theirs. */
  async #claimAll(held: DisposableStack, kind: MemoryKind): Promise<number> {
    const takers = await Promise.all(this.neighbours.map(async ({ address }) => held.use(await MemoryTaker.at(address))));
    const begun = performance.now();
    await Promise.all(takers.map((taker, index) => taker.take(kind, this.neighbours[index]!.resources.memoryMib - overheadMib)));
    const claimMs = performance.now() - begun;
    await this.#noneKilledWithin();
    return claimMs;
  }

  /**
   * Until what the last trial took is given back. A borrower that still removes its many files would have the rest of that, and then what it
   * borrows next, above its own ceiling, and be killed for that. One whose first process was killed after it had taken all is started again by
   * the agent, which the next trial may end or stop.
   */
  async settled(): Promise<void> {
    await this.#emptied();
    (await MemoryTaker.at(this.borrower.address))[Symbol.dispose]();
  }

  async #emptied(): Promise<void> {
    const left = (): number => {
      const memory = this.#ofBorrower();
      return memory === null ? Infinity : memory.usedMib - memory.cacheMib + memory.swappedMib;
    };
    for (const deadline = performance.now() + emptyWaitMs; kernelMemory(this.#instance.instance).usedMib > poolMib / 2 || left() > restMib; await sleep(20))
      if (performance.now() > deadline) return left() > restMib ? this.renewBorrower() : undefined;
  }

  /** A borrower that lost a process may have left a file in memory, which nothing but its end gives back. */
  async renewBorrower(): Promise<void> {
    const { job } = await this.#control.machineReboot(this.borrower.id, {}, { wait: 60 });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  }

  async #orLost(work: Promise<unknown>, onLost: () => void): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.mayLose) throw error;
      onLost();
    }
  }

  async #noneKilledWithin(): Promise<void> {
    for (const { id, name } of this.neighbours) assert.equal(this.#kernel({ id }).kills, 0, `killed in ${name}, within its guarantee`);
  }

  #swapAndKills(killsBefore: number): Pick<Trial, 'swappedMib' | 'borrowerKills'> {
    const swappedMib = this.neighbours.reduce((sum, neighbour) => sum + this.#kernel(neighbour).swappedMib, 0);
    return { swappedMib, borrowerKills: Math.max(0, (this.#ofBorrower()?.kills ?? 0) - killsBefore) };
  }

  /** Null where it has ended as a whole, as it may where it loses processes, and is being started anew. */
  #ofBorrower(): KernelMemory | null {
    return this.mayLose ? ifPresent(() => this.#kernel(this.borrower)) : this.#kernel(this.borrower);
  }

  #kernel({ id }: Pick<Machine, 'id'>) {
    return kernelMemory(this.#instance.instance, id);
  }

  async #told<T>(seed: number, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw new Error(`seed ${seed}: ${await autopsy(this.#instance.instance, [this.borrower, ...this.neighbours])}`, { cause });
    }
  }
}
