/** Metered bursting on the real clock: settles the banks of those machines that have one, and moves their quotas. Others cost nothing. */
import { messageChain } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { PoolCpu } from '../../host/cgroup/pool-cpu.ts';
import type { BurstUsage } from '../../model/machine.ts';
import type { Resources } from '../../model/resources.ts';
import { bankSeconds, effectiveMillis, openBank, settleAfterMs, settleBank } from './cpu-bank.ts';
import type { Bank, BankTerms } from './cpu-bank.ts';
import type { GovernedMachine } from './governor.ts';

export interface MeterListener {
  /** Its bank is empty. */
  emptied(machine: string, usedMillis: number, terms: BankTerms): void;
}

export interface MeterOptions {
  cpu: PoolCpu;
  cpus: number;
  machines: () => Iterable<GovernedMachine>;
  listener: MeterListener;
  logger: Logger;
}

const longestPauseMs = 1000;

export class CpuMeter implements Disposable {
  readonly #options: MeterOptions;
  #banks: ReadonlyMap<string, Bank> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#settle();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
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
      for (const machine of this.#options.machines()) {
        const terms = this.#termsOf(machine.resources);
        const bank = terms === null ? null : this.#settleOne(machine, terms);
        if (terms === null || bank === null) continue;
        banks.set(machine.id, bank);
        pauseMs = Math.min(pauseMs, settleAfterMs(bank, terms));
      }
      this.#banks = banks;
    } catch (error) {
      this.#options.logger.error({ error: messageChain(error) }, 'metered bursting could not be settled');
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.#settle(), pauseMs);
  }

  #settleOne(machine: GovernedMachine, terms: BankTerms): Bank | null {
    const read = this.#options.cpu.read(machine.id);
    if (read === null) return null;
    const at = { atMs: performance.now(), cpuSeconds: read.cpuSeconds };
    const former = this.#banks.get(machine.id);
    // A quota at the baseline is what an agent before this one left of an emptied bank.
    const bank = former === undefined ? openBank(terms, at, null, read.quotaMillis === terms.baselineMillis) : settleBank(former, terms, at);
    // The kernel's own number decides: a resize writes the ceiling, whatever the bank says.
    const wanted = bank.isEmpty ? terms.baselineMillis : machine.resources.cpuCeilingMillis;
    if (read.quotaMillis !== wanted) this.#options.cpu.setQuota(machine.id, wanted);
    if (bank.isEmpty && former?.isEmpty === false) this.#options.listener.emptied(machine.id, bank.usedMillis, terms);
    return bank;
  }
}
