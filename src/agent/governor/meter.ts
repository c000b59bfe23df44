/**
 * Metered bursting on the real clock: settles the banks of those machines that have one, and moves their quotas. Others cost nothing, and of
 * machines that idle with a full bank only so many are looked at in a second. Banks are put on record now and then and at the end, so that
 * neither a new agent nor a restart of the machine fills them.
 */
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { MachineCpu, PoolCpu } from '../../host/cgroup/pool-cpu.ts';
import type { BurstUsage } from '../../model/machine.ts';
import type { Resources } from '../../model/resources.ts';
import type { HostTime } from '../../host/metrics/host-clock.ts';
import { bankSeconds, effectiveMillis, isIdle, keepBank, openBank, restoreBank, settleAfterMs, settleBank } from './cpu-bank.ts';
import type { Bank, BankTerms, KeptBank } from './cpu-bank.ts';
import type { GovernedMachine } from './governor.ts';

export interface MeterListener {
  /** Its bank is empty. */
  emptied(machine: string, usedMillis: number, terms: BankTerms): void;
}

/** Where banks are on record. */
export interface BankRecord {
  loadBanks(): ReadonlyMap<string, KeptBank>;
  saveBanks(banks: ReadonlyMap<string, KeptBank>): Promise<void>;
}

export interface MeterOptions {
  cpu: PoolCpu;
  cpus: number;
  /** All there are, at the beginning; of those that come or change since, `attend` tells. */
  machines: Iterable<GovernedMachine>;
  /** Also one that is stopped, which keeps its bank. */
  find: (id: string) => GovernedMachine | undefined;
  record: BankRecord;
  readHostTime: () => HostTime;
  listener: MeterListener;
  logger: Logger;
}

const longestPauseMs = 1000;
const busyPauseMs = 50;
/** Of idle machines, in each second: so many take some thousandths of a core, and it is all of them on most hosts. */
const idleASecond = 100;
/** So much of what an agent that is killed has seen may be forgotten; what machines used is known to the kernel. */
const saveEveryMs = 60_000;

export class CpuMeter implements AsyncDisposable {
  readonly #options: MeterOptions;
  readonly #banks = new Map<string, Bank>();
  readonly #kept: Map<string, KeptBank>;
  /** Looked at each time: those that work, whose bank is not full, or that may have changed. */
  readonly #attended: Set<string>;
  /** All banks in turn, for those that idle. */
  #round: Iterator<string> = [].values();
  #roundAtMs = -Infinity;
  /** There is one of which nothing is on record. */
  #isUnsaved = false;
  #savedAtMs = -Infinity;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#kept = new Map(options.record.loadBanks());
    this.#attended = new Set(Array.from(options.machines, ({ id }) => id));
    this.#settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const id of this.#banks.keys()) this.#attended.add(id);
    this.#settle();
    await this.#save();
  }

  /** It was made, started, changed or deleted: what it has to do with metering is seen within a second. */
  attend(id: string): void {
    this.#attended.add(id);
  }

  usage({ id, resources }: Pick<GovernedMachine, 'id' | 'resources'>): BurstUsage | null {
    const bank = this.#banks.get(id);
    const terms = this.#termsOf(resources);
    if (bank === undefined || terms === null) return null;
    return {
      bankSeconds: bankSeconds(bank, terms),
      effectiveCeilingMillis: effectiveMillis(bank, terms),
      aboveBaseSeconds: bank.aboveBaseSeconds,
      belowBaseSeconds: bank.belowBaseSeconds,
    };
  }

  #termsOf({ burst, cpuCeilingMillis }: Resources): BankTerms | null {
    const ceilingMillis = cpuCeilingMillis ?? this.#options.cpus * 1000;
    return burst === null ? null : { ...burst, ceilingMillis };
  }

  #settle(): void {
    let pauseMs = longestPauseMs;
    try {
      this.#attendIdle();
      for (const id of this.#attended) pauseMs = Math.min(pauseMs, this.#look(id));
      if (this.#isUnsaved || performance.now() - this.#savedAtMs > saveEveryMs) void this.#save();
    } catch (error) {
      this.#options.logger.error({ error: messageChain(error) }, 'metered bursting could not be settled');
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.#settle(), pauseMs);
  }

  /** Once a second, the next of the round. */
  #attendIdle(): void {
    const now = performance.now();
    // A timer may be a little early.
    if (now - this.#roundAtMs < longestPauseMs - busyPauseMs) return;
    this.#roundAtMs = now;
    for (let looked = 0; looked < Math.min(idleASecond, this.#banks.size); looked += 1) {
      let next = this.#round.next();
      if (next.done === true) {
        this.#round = this.#banks.keys();
        next = this.#round.next();
      }
      if (next.done !== true) this.#attended.add(next.value);
    }
  }

  /** How many milliseconds it may be left alone; Infinity when the next round will do. */
  #look(id: string): number {
    const machine = this.#options.find(id);
    const terms = machine === undefined ? null : this.#termsOf(machine.resources);
    if (machine !== undefined && terms !== null) {
      const former = this.#banks.get(id);
      const bank = this.#settleOne(machine, terms);
      if (bank !== null) this.#banks.set(id, bank);
      if (machine.limits.isFull) return busyPauseMs;
      // What one uses is known from its second look on.
      if (bank !== null && (former === undefined || !this.#canWait(bank, terms))) return settleAfterMs(bank, terms);
    } else {
      // A resize that is under way may yet be undone, of which no event tells.
      if (machine?.limits.isFull === true) return busyPauseMs;
      this.#banks.delete(id);
      this.#kept.delete(id);
    }
    this.#attended.delete(id);
    return Infinity;
  }

  /** Until the round comes to it: by then it cannot have emptied its bank. */
  #canWait(bank: Bank, terms: BankTerms): boolean {
    // At the start there are more than have a bank by now.
    const roundMs = Math.ceil((this.#banks.size + this.#attended.size) / idleASecond) * longestPauseMs;
    return isIdle(bank, terms) && bankSeconds(bank, terms) * 1000 > 2 * roundMs;
  }

  /** What has changed since it was last saved: idle machines' banks are not written again. */
  async #save(): Promise<void> {
    const { record, readHostTime, logger } = this.#options;
    this.#savedAtMs = performance.now();
    this.#isUnsaved = false;
    try {
      const now = readHostTime();
      const changed = new Map<string, KeptBank>();
      for (const [id, bank] of this.#banks) {
        const kept = this.#kept.get(id);
        if (kept?.cpuSeconds !== bank.readCpuSeconds || kept.balance !== bank.balance) changed.set(id, keepBank(bank, now));
      }
      for (const [id, bank] of changed) this.#kept.set(id, bank);
      if (changed.size > 0) await record.saveBanks(changed);
    } catch (error) {
      logger.error({ error: messageChain(error) }, 'banks of bursting could not be put on record');
    }
  }

  /** Null when it does not run: its bank stays as it is. */
  #settleOne(machine: GovernedMachine, terms: BankTerms): Bank | null {
    const read = this.#options.cpu.read(machine.id);
    const former = this.#banks.get(machine.id);
    if (read === null) return null;
    const at = { atMs: performance.now(), cpuSeconds: read.cpuSeconds };
    const bank = former === undefined ? this.#open(machine.id, terms, at, read) : settleBank(former, terms, at);
    // The kernel's own number decides: a resize writes the ceiling, whatever the bank says. While one is under way the record does not say what
    // is to hold: what is written by it now would stay, if the resize ends the metering.
    const wanted = bank.isEmpty ? terms.baselineMillis : machine.resources.cpuCeilingMillis;
    if (read.quotaMillis !== wanted && !machine.limits.isFull) this.#options.cpu.setQuota(machine.id, wanted);
    if (bank.isEmpty && former?.isEmpty === false) this.#options.listener.emptied(machine.id, bank.usedMillis, terms);
    return bank;
  }

  #open(id: string, terms: BankTerms, at: { atMs: number; cpuSeconds: number }, { quotaMillis }: MachineCpu): Bank {
    const kept = this.#kept.get(id);
    this.#isUnsaved ||= kept === undefined;
    return kept === undefined ? openBank(terms, at, quotaMillis === terms.baselineMillis) : restoreBank(kept, terms, at, this.#options.readHostTime());
  }
}
