/**
 * Metered bursting, pure: a machine with a bank may work above its baseline as long as the bank lasts. What it uses above is taken out,
 * what it leaves unused below is paid in; while the bank is empty its ceiling is its baseline. Times are of a clock that only goes forward.
 */
import type { HostTime } from '../../host/metrics/host-clock.ts';

export interface BankTerms {
  baselineMillis: number;
  /** What it may take while there is something in the bank: its ceiling, or the host's CPUs. */
  ceilingMillis: number;
  /** A full bank, in seconds at the ceiling. */
  burstSeconds: number;
}

export interface Bank {
  /** Core-seconds above the baseline that are left. */
  balance: number;
  isEmpty: boolean;
  aboveBaseSeconds: number;
  belowBaseSeconds: number;
  /** In the last interval, in thousandths of a core. */
  usedMillis: number;
  readAtMs: number;
  readCpuSeconds: number;
}

/** So much of a full bank, or a second of bursting, must be there again before an emptied one opens: else it would flap. */
const opensAt = 0.05;
const opensAtSeconds = 1;

const spanOf = ({ ceilingMillis, baselineMillis }: BankTerms): number => Math.max(0, ceilingMillis - baselineMillis) / 1000;
const capacityOf = (terms: BankTerms): number => terms.burstSeconds * spanOf(terms);

/** What is on record of a bank while no agent runs. */
export interface KeptBank extends HostTime, Pick<Bank, 'balance' | 'isEmpty' | 'aboveBaseSeconds' | 'belowBaseSeconds'> {
  cpuSeconds: number;
}

interface Reading {
  atMs: number;
  /** Of the machine, since its group was made. */
  cpuSeconds: number;
}

/** Of a machine that has none yet: full, but for an agent's before this one that has put the quota at the baseline and kept no record. */
export const openBank = (terms: BankTerms, read: Reading, isEmpty: boolean): Bank => ({
  balance: isEmpty ? 0 : capacityOf(terms),
  isEmpty,
  aboveBaseSeconds: 0,
  belowBaseSeconds: 0,
  usedMillis: 0,
  readAtMs: read.atMs,
  readCpuSeconds: read.cpuSeconds,
});

export const keepBank = ({ balance, isEmpty, aboveBaseSeconds, belowBaseSeconds, readCpuSeconds }: Bank, now: HostTime): KeptBank => ({
  ...now,
  balance,
  isEmpty,
  aboveBaseSeconds,
  belowBaseSeconds,
  cpuSeconds: readCpuSeconds,
});

/**
 * As it is after a time in which nobody looked. When in that time the machine worked is not known: what was left unused is paid in first, up
 * to a full bank, then all that was used is taken out, so a bank is never fuller than it would have been. Before a boot of the host no time counts.
 */
export const restoreBank = (kept: KeptBank, terms: BankTerms, read: Reading, now: HostTime): Bank => {
  const seconds = kept.boot === now.boot ? Math.max(0, now.upSeconds - kept.upSeconds) : 0;
  const paidIn = Math.min(capacityOf(terms), kept.balance + (terms.baselineMillis / 1000) * seconds);
  const balance = Math.max(0, paidIn - usedSince(kept.cpuSeconds, read));
  return {
    balance,
    isEmpty: kept.isEmpty || balance === 0,
    aboveBaseSeconds: kept.aboveBaseSeconds,
    belowBaseSeconds: kept.belowBaseSeconds,
    usedMillis: 0,
    readAtMs: read.atMs,
    readCpuSeconds: read.cpuSeconds,
  };
};

/** A group made anew counts from zero. */
const usedSince = (former: number, { cpuSeconds }: Reading): number => (cpuSeconds >= former ? cpuSeconds - former : cpuSeconds);

export const settleBank = (bank: Bank, terms: BankTerms, read: Reading): Bank => {
  const seconds = (read.atMs - bank.readAtMs) / 1000;
  const used = usedSince(bank.readCpuSeconds, read);
  if (seconds <= 0) return bank;
  const base = (terms.baselineMillis / 1000) * seconds;
  const balance = Math.min(capacityOf(terms), Math.max(0, bank.balance + base - used));
  const opens = balance >= Math.min(capacityOf(terms), Math.max(capacityOf(terms) * opensAt, Math.min(opensAtSeconds, terms.burstSeconds) * spanOf(terms)));
  return {
    balance,
    isEmpty: bank.isEmpty ? !opens : balance === 0,
    aboveBaseSeconds: bank.aboveBaseSeconds + (used > base ? seconds : 0),
    belowBaseSeconds: bank.belowBaseSeconds + (used > base ? 0 : seconds),
    usedMillis: (used / seconds) * 1000,
    readAtMs: read.atMs,
    readCpuSeconds: read.cpuSeconds,
  };
};

/** What its quota is to be. */
export const effectiveMillis = (bank: Bank, terms: BankTerms): number => (bank.isEmpty ? terms.baselineMillis : terms.ceilingMillis);

/** Seconds it may go on at its ceiling. */
export const bankSeconds = (bank: Bank, terms: BankTerms): number => (spanOf(terms) === 0 ? 0 : bank.balance / spanOf(terms));

/** Its bank is full and open, and it used no more than its baseline: nothing changes until it works. */
export const isIdle = (bank: Bank, terms: BankTerms): boolean => !bank.isEmpty && bank.balance === capacityOf(terms) && bank.usedMillis <= terms.baselineMillis;

/** When to look again: before it could be empty, and before an emptied one could be overdue. */
export const settleAfterMs = (bank: Bank, terms: BankTerms): number =>
  bank.isEmpty || spanOf(terms) === 0 ? 1000 : Math.min(1000, Math.max(50, (bank.balance / spanOf(terms)) * 1000));
