/** CPU of single machines, as metered bursting sees and moves it, over cgroup v1 and v2. */
import { join } from 'node:path';
import { ifPresent, readNumber, readTable, readText, write } from './files.ts';
import { quotaPeriodUs } from './settings.ts';

export interface MachineCpu {
  /** Since its group was made. */
  cpuSeconds: number;
  /** Null: no quota. */
  quotaMillis: number | null;
}

export interface PoolCpu {
  /** Null when it has no group (any more). */
  read(machine: string): MachineCpu | null;
  setQuota(machine: string, millis: number | null): void;
}

const quotaUsOf = (millis: number): number => Math.max(1000, Math.round((millis * quotaPeriodUs) / 1000));
const millisOf = (quotaUs: number, periodUs: number): number => Math.round((quotaUs / periodUs) * 1000);

export class PoolCpuV1 implements PoolCpu {
  readonly #cpu: string;
  readonly #accounting: string;

  /** The instance's directories in the trees of `cpu` and `cpuacct`. */
  constructor(cpu: string, accounting: string) {
    this.#cpu = cpu;
    this.#accounting = accounting;
  }

  read(machine: string): MachineCpu | null {
    return ifPresent(() => {
      const group = join(this.#cpu, machine);
      const quotaUs = readNumber(group, 'cpu.cfs_quota_us');
      return {
        cpuSeconds: readNumber(join(this.#accounting, machine), 'cpuacct.usage') / 1e9,
        quotaMillis: quotaUs < 0 ? null : millisOf(quotaUs, readNumber(group, 'cpu.cfs_period_us')),
      };
    });
  }

  setQuota(machine: string, millis: number | null): void {
    ifPresent(() => write(join(this.#cpu, machine), 'cpu.cfs_quota_us', millis === null ? -1 : quotaUsOf(millis)));
  }
}

export class PoolCpuV2 implements PoolCpu {
  readonly #parent: string;

  constructor(parent: string) {
    this.#parent = parent;
  }

  read(machine: string): MachineCpu | null {
    return ifPresent(() => {
      const group = join(this.#parent, machine);
      const [quota, period] = readText(group, 'cpu.max').split(' ');
      return {
        cpuSeconds: (readTable(group, 'cpu.stat')['usage_usec'] ?? 0) / 1e6,
        quotaMillis: quota === 'max' ? null : millisOf(Number(quota), Number(period)),
      };
    });
  }

  setQuota(machine: string, millis: number | null): void {
    ifPresent(() => write(join(this.#parent, machine), 'cpu.max', `${millis === null ? 'max' : quotaUsOf(millis)} ${quotaPeriodUs}`));
  }
}
