/**
 * The governor's loop: reads what the core asked for, lets it decide, does what it says, and tells of it. Nothing is remembered across
 * starts: limits that stand are read from the kernel. When this process dies they stay as they are, and every guarantee with them.
 */
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Semaphore } from '../../base/semaphore.ts';
import { bytesOfMib } from '../../base/units.ts';
import type { HostMemory, KilledProcess, Leftover, PoolMemory, PoolTotals } from '../../host/cgroup/pool-memory.ts';
import type { Resources } from '../../model/resources.ts';
import { decide, freshState, freshWatch } from './decide.ts';
import type { Tuning } from './decide.ts';
import { KillWatch, usedAtDeath } from './kill-watch.ts';
import { Lateness } from './lateness.ts';
import type { Action, Look, MachineReading, Numbers, Outcome, Readings, Report, Watch } from './types.ts';

export interface GovernedMachine {
  id: string;
  name: string;
  resources: Resources;
  /** Held while its limits are written: the ceiling that a decision was made by may have been changed meanwhile. */
  limits: Semaphore;
}

/** Told of what was done, in the order in which it was. */
export interface GovernorListener {
  report(report: Report): void;
  killed(machine: string, numbers: Numbers, processes: readonly KilledProcess[]): void;
  /** The kernel killed inside a machine that had come to its limit. */
  ranOut(machine: MachineReading, kills: number): void;
}

export interface GovernorOptions {
  memory: PoolMemory;
  /** What the pool is to have; less than the kernel's limit while it is being made smaller. */
  mostBytes: () => number;
  readHost: () => HostMemory;
  readHostKills: () => number;
  /** Those that run. */
  machines: () => Iterable<GovernedMachine>;
  find: (id: string) => GovernedMachine | undefined;
  listener: GovernorListener;
  tuning: Tuning;
  /** Asked five times a second, and before each look: false when it is another's turn, and this one is to end. */
  keepTurn: () => boolean;
  logger: Logger;
}

/** However long there is nothing to look at, the turn is kept. */
const keepTurnEveryMs = 200;
const retryMs = 1000;
const killsEveryMs = 1000;

export class Governor implements AsyncDisposable {
  readonly #options: GovernorOptions;
  #state = freshState;
  #look: Look = 'all';
  #lookCostMs = 0;
  #outcomes: Outcome[] = [];
  readonly #busy = new Map<string, number>();
  readonly #working = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #lookAtMs = 0;
  #wakeAtMs = 0;
  readonly #lateness: Lateness;
  #stopped = false;
  readonly #isOver = Promise.withResolvers<'stopped' | 'lost'>();
  readonly #kills: KillWatch;
  #killsAtMs = 0;

  constructor(options: GovernorOptions) {
    this.#options = options;
    this.#lateness = new Lateness(options.logger);
    this.#kills = new KillWatch(options.memory, options.readHostKills, this.#ids());
    this.#state = { ...freshState, watched: this.#leftovers() };
    this.#schedule(0);
  }

  /** What the look at all machines does not see of what a former governor did. */
  #leftovers(): ReadonlyMap<string, Watch> {
    const { memory, machines } = this.#options;
    const pool = this.#totals();
    const found = [...machines()].map((machine): [string, Leftover] => [machine.id, memory.leftover(machine.id, ceilingOf(machine, pool))]);
    return new Map(found.filter(([, { isSwapHeld, isOffered }]) => isSwapHeld || isOffered).map(([id, leftover]) => [id, { ...freshWatch, ...leftover }]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop('stopped');
    await Promise.all(this.#working.values());
    // Nobody may be there to take it back.
    for (const machine of this.#state.barred) this.#options.memory.protect(machine, 'spared');
    // Whoever governs next tells of no kill from before.
    this.#tellKills();
  }

  /** Why it governs no longer; what it had begun may still be under way. */
  get over(): Promise<'stopped' | 'lost'> {
    return this.#isOver.promise;
  }

  #stop(why: 'stopped' | 'lost'): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#isOver.resolve(why);
  }

  #schedule(afterMs: number): void {
    this.#lookAtMs = performance.now() + afterMs;
    this.#sleep();
  }

  #sleep(): void {
    if (this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const nowMs = performance.now();
    this.#wakeAtMs = Math.min(this.#lookAtMs, nowMs + keepTurnEveryMs);
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, this.#wakeAtMs - nowMs));
  }

  #wake(): void {
    const nowMs = performance.now();
    this.#lateness.woke(nowMs - this.#wakeAtMs, nowMs);
    if (!this.#options.keepTurn()) return this.#stop('lost');
    if (nowMs < this.#lookAtMs - 1) this.#sleep();
    else this.#tick();
  }

  #tick(): void {
    try {
      const readings = this.#read();
      this.#outcomes = [];
      const { state, actions, reports, next } = decide(this.#state, readings, performance.now(), this.#options.tuning);
      this.#state = state;
      this.#look = next.look;
      for (const action of actions) this.#do(action);
      for (const report of reports) this.#options.listener.report(report);
      if (performance.now() - this.#killsAtMs >= killsEveryMs) this.#tellKills();
      this.#schedule(next.afterMs);
    } catch (error) {
      this.#options.logger.error({ error: messageChain(error) }, 'the governor could not look');
      this.#schedule(retryMs);
    }
  }

  #read(): Readings {
    const { memory, readHost } = this.#options;
    const begunMs = cpuMs();
    const pool = this.#totals();
    const machines = this.#lookedAt().flatMap((machine) => this.#readMachine(machine, pool) ?? []);
    if (this.#look === 'all' && this.#state.isTight)
      for (const one of machines) if (one.usedBytes > one.guaranteeBytes) one.takeableBytes = memory.takeable(one.id);
    if (this.#look === 'all') this.#lookCostMs = cpuMs() - begunMs;
    return { look: this.#look, pool, host: readHost(), machines, busy: this.#busy, outcomes: this.#outcomes, lookCostMs: this.#lookCostMs };
  }

  #totals(): PoolTotals {
    const totals = this.#options.memory.totals();
    return { ...totals, limitBytes: Math.min(totals.limitBytes, this.#options.mostBytes()) };
  }

  #readMachine(machine: GovernedMachine, pool: PoolTotals): MachineReading | null {
    const { id, resources } = machine;
    const read = this.#options.memory.read(id);
    return read === null ? null : { id, ...read, guaranteeBytes: bytesOfMib(resources.memoryMib), ceilingBytes: ceilingOf(machine, pool), takeableBytes: 0 };
  }

  #tellKills(): void {
    const { memory, find, listener } = this.#options;
    this.#killsAtMs = performance.now();
    for (const { machine, kills } of this.#kills.look(() => this.#ids())) {
      const governed = find(machine);
      const reading = governed === undefined ? null : this.#readMachine(governed, this.#totals());
      if (reading !== null) listener.ranOut({ ...reading, usedBytes: usedAtDeath(reading, memory.peak(machine)) }, kills);
    }
  }

  *#ids(): Iterable<string> {
    for (const { id } of this.#options.machines()) yield id;
  }

  #lookedAt(): GovernedMachine[] {
    if (this.#look === 'all') return [...this.#options.machines()];
    if (this.#look === 'totals') return [];
    return [...this.#state.watched.keys()].flatMap((id) => this.#options.find(id) ?? []);
  }

  #do(action: Action): void {
    const { memory, listener } = this.#options;
    switch (action.do) {
      case 'protect':
        return memory.protect(action.machine, action.protection);
      case 'offer':
        return void this.#inOrder(`offer ${action.machine}`, () => this.#offer(action.machine, action.isOffered));
      case 'swap':
        return this.#onLimits(action.machine, 0, ({ id, ceilingBytes }) => memory.allowSwap(id, action.isAllowed, ceilingBytes));
      case 'limit':
        return this.#onLimits(action.machine, 0, ({ id, ceilingBytes }) =>
          memory.limit(id, { bytes: Math.floor(Math.min(action.bytes, ceilingBytes)), ceilingBytes, maySwap: action.maySwap }),
        );
      case 'reclaim':
        return this.#onLimits(action.machine, action.bytes, async ({ id, guaranteeBytes, ceilingBytes }) => {
          const { bytes, maySwap, floorBytes } = action;
          const reclaimed = await memory.reclaim(id, { bytes: Math.floor(bytes), ceilingBytes, maySwap, floorBytes: Math.max(floorBytes, guaranteeBytes) });
          this.#outcomes.push({ machine: id, askedBytes: bytes, ...reclaimed });
          this.#schedule(0); // there may be more to take, and its own look tells
        });
      case 'kill':
        return this.#onLimits(action.machine, action.bytes, async ({ id, guaranteeBytes }) => {
          const { bytes, floorBytes, numbers } = action;
          const killed = await memory.kill(id, { bytes, floorBytes: Math.max(floorBytes, guaranteeBytes) });
          if (killed.length > 0) listener.killed(id, numbers, killed);
          this.#schedule(0);
        });
    }
  }

  /** Unless it has been decided otherwise by then. All of a machine's processes are written to, which is part of what the look that led to it has cost. */
  async #offer(machine: string, isOffered: boolean): Promise<void> {
    const { memory, find } = this.#options;
    const governed = find(machine);
    if (governed === undefined || isOffered !== (this.#state.watched.get(machine)?.isOffered ?? false)) return;
    const begunMs = cpuMs();
    await memory.offer(machine, isOffered, bytesOfMib(governed.resources.memoryMib));
    this.#lookCostMs += cpuMs() - begunMs;
  }

  /** When nobody else writes them, and with what is true by then: a resize may have come between the decision and this. */
  #onLimits(machine: string, bytes: number, work: (now: MachineReading) => Promise<void>): void {
    const { find } = this.#options;
    void this.#work(machine, bytes, async () => {
      using _mine = await find(machine)?.limits.acquire();
      const governed = find(machine);
      const now = governed === undefined ? null : this.#readMachine(governed, this.#totals());
      if (now !== null) await work(now);
    });
  }

  /** What is to be done to one machine is done in order; other machines do not wait for it. */
  async #work(machine: string, bytes: number, work: () => Promise<void>): Promise<void> {
    this.#busy.set(machine, Math.max(bytes, this.#busy.get(machine) ?? 0));
    await this.#inOrder(machine, work);
    if (!this.#working.has(machine)) this.#busy.delete(machine);
  }

  #inOrder(key: string, work: () => Promise<void>): Promise<void> {
    const running = (this.#working.get(key) ?? Promise.resolve())
      .then(work)
      .catch((error: unknown) => this.#options.logger.error({ machine: key, error: messageChain(error) }, 'what the governor decided could not be done'))
      .finally(() => {
        if (this.#working.get(key) === running) this.#working.delete(key);
      });
    this.#working.set(key, running);
    return running;
  }
}

/** What looks cost is this thread's time. On a busy host one takes longer and costs no more, and the next is wanted no later. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const ceilingOf = ({ resources }: GovernedMachine, pool: PoolTotals): number => Math.min(bytesOfMib(resources.memoryCeilingMib ?? Infinity), pool.limitBytes);
