/** Control groups in memory: they refuse a memory ceiling below what a test says is used, and remember the rest. */
import { CenoteError } from '../../base/errors.ts';
import type { Resources, Unsupported } from '../../model/resources.ts';
import { noUsage } from './cgroup.ts';
import type { CgroupUsage, Cgroups } from './cgroup.ts';

export class FakeCgroups implements Cgroups {
  readonly layout = 'v2';
  readonly poolMib = 0;
  /** A test may say what it cannot honour. */
  unsupported: Unsupported[] = [];
  /** What was last applied, by machine. */
  readonly applied = new Map<string, Resources>();
  readonly frozen = new Set<string>();
  readonly usages = new Map<string, Partial<CgroupUsage>>();
  readonly #onKill: (machine: string) => void;

  constructor(onKill: (machine: string) => void) {
    this.#onKill = onKill;
  }

  async setPool(): Promise<boolean> {
    return true;
  }

  path(machine: string): string {
    return `/fake/${machine}`;
  }

  async admitMonitor(): Promise<void> {}

  async apply(machine: string, resources: Resources): Promise<void> {
    const used = Math.ceil(this.usages.get(machine)?.memoryMib ?? 0);
    if (resources.memoryCeilingMib !== null && resources.memoryCeilingMib < used) {
      throw new CenoteError('not_enough', `memory cannot be brought below ${used}M, which the machine uses now; ${resources.memoryCeilingMib}M was asked for`);
    }
    this.applied.set(machine, resources);
  }

  oomScore(): number {
    return 0;
  }

  async rescore(): Promise<void> {}

  async usage(machine: string): Promise<CgroupUsage> {
    return { ...noUsage, ...this.usages.get(machine) };
  }

  async processes(): Promise<number[]> {
    return [];
  }

  async freeze(machine: string): Promise<void> {
    this.frozen.add(machine);
  }

  async thaw(machine: string): Promise<void> {
    this.frozen.delete(machine);
  }

  async kill(machine: string): Promise<void> {
    this.#onKill(machine);
  }

  async remove(machine: string): Promise<void> {
    this.applied.delete(machine);
  }

  async list(): Promise<string[]> {
    return [...this.applied.keys()];
  }

  async close(): Promise<void> {}
}
