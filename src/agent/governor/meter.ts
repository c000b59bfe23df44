/**
 * Metered bursting on the real clock: settles the banks of those machines that have one, and moves their quotas. Others cost nothing. Banks
 * are put on record now and then and at the end, so that neither a new agent nor a restart of the machine fills them.
 */
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { MachineCpu, PoolCpu } from '../../host/cgroup/pool-cpu.ts';
import type { BurstUsage } from '../../model/machine.ts';
import type { Resources } from '../../model/resources.ts';
import type { HostTime } from '../../host/metrics/host-clock.ts';
import { bankSeconds, effectiveMillis, keepBank, openBank, restoreBank, settleAfterMs, settleBank } from './cpu-bank.ts';
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
  /** All there are: one that is stopped keeps its bank. */
  machines: () => Iterable<GovernedMachine>;
  record: BankRecord;
  readHostTime: () => HostTime;
  listener: MeterListener;
  logger: Logger;
}

const longestPauseMs = 1000;
const busyPauseMs = 50;
/** So much of what an agent that is killed has seen may be forgotten; what machines used is known to the kernel. */
const saveEveryMs = 60_000;

export class CpuMeter implements AsyncDisposable {
  readonly #options: MeterOptions;
  #banks: ReadonlyMap<string, Bank> = new Map();
  #kept: ReadonlyMap<string, KeptBank>;
  #savedAtMs = -Infinity;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#kept = options.record.loadBanks();
    this.#settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#settle();
    await this.#save();
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
      const banks = new Map<string, Bank>();
      const kept = new Map<string, KeptBank>();
      for (const machine of this.#options.machines()) {
        const terms = this.#termsOf(machine.resources);
        if (terms === null) continue;
        const onRecord = this.#kept.get(machine.id);
        if (onRecord !== undefined) kept.set(machine.id, onRecord);
        const bank = this.#settleOne(machine, terms);
        if (bank === null) continue;
        banks.set(machine.id, bank);
        pauseMs = Math.min(pauseMs, settleAfterMs(bank, terms), machine.limits.isFull ? busyPauseMs : Infinity);
      }
      this.#banks = banks;
      this.#kept = kept;
      const isNew = [...banks.keys()].some((id) => !kept.has(id));
      if (isNew || performance.now() - this.#savedAtMs > saveEveryMs) void this.#save();
    } catch (error) {
      this.#options.logger.error({ error: messageChain(error) }, 'metered bursting could not be settled');
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.#settle(), pauseMs);
  }

  /** What has changed since it was last saved: idle machines' banks are not written again. */
  async #save(): Promise<void> {
    const { record, readHostTime, logger } = this.#options;
    this.#savedAtMs = performance.now();
    try {
      const now = readHostTime();
      const changed = new Map<string, KeptBank>();
      for (const [id, bank] of this.#banks) {
        const kept = this.#kept.get(id);
        if (kept?.cpuSeconds !== bank.readCpuSeconds || kept.balance !== bank.balance) changed.set(id, keepBank(bank, now));
      }
      this.#kept = new Map([...this.#kept, ...changed]);
      if (changed.size > 0) await record.saveBanks(changed);
    } catch (error) {
      logger.error({ error: messageChain(error) }, 'banks of bursting could not be put on record');
    }
  }

  #settleOne(machine: GovernedMachine, terms: BankTerms): Bank | null {
    const read = this.#options.cpu.read(machine.id);
    const former = this.#banks.get(machine.id);
    if (read === null) return former ?? null;
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
    return kept === undefined ? openBank(terms, at, quotaMillis === terms.baselineMillis) : restoreBank(kept, terms, at, this.#options.readHostTime());
  }
}
