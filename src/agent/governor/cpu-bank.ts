/**
 * Metered bursting, pure: a machine with a bank may work above its baseline as long as the bank lasts. What it uses above is taken out,
 * what it leaves unused below is paid in; while the bank is empty its ceiling is its baseline. Times are of a clock that only goes forward.
 */
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

/** `isEmpty`: as the kernel's quota says after a start of the agent. */
export const openBank = (terms: BankTerms, read: { atMs: number; cpuSeconds: number }, balance: number | null, isEmpty: boolean): Bank => ({
  balance: isEmpty ? 0 : Math.min(capacityOf(terms), balance ?? Infinity),
  isEmpty,
  aboveBaseSeconds: 0,
  belowBaseSeconds: 0,
  usedMillis: 0,
  readAtMs: read.atMs,
  readCpuSeconds: read.cpuSeconds,
});

export const settleBank = (bank: Bank, terms: BankTerms, read: { atMs: number; cpuSeconds: number }): Bank => {
  const seconds = (read.atMs - bank.readAtMs) / 1000;
  // A group made anew counts from zero.
  const used = read.cpuSeconds >= bank.readCpuSeconds ? read.cpuSeconds - bank.readCpuSeconds : read.cpuSeconds;
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

/** When to look again: before it could be empty, and before an emptied one could be overdue. */
export const settleAfterMs = (bank: Bank, terms: BankTerms): number =>
  bank.isEmpty || spanOf(terms) === 0 ? 1000 : Math.min(1000, Math.max(50, (bank.balance / spanOf(terms)) * 1000));
