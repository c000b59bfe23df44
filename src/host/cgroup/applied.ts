/**
 * What each machine's limits were last set to as a whole, by this process: what is known need not be read again. Nothing is known of a machine
 * whose limits are just being changed, could not be changed, or went with its groups.
 */
import type { Resources } from '../../model/resources.ts';

export class Applied {
  readonly #resources = new Map<string, Resources>();

  /** One at a time for a machine. */
  async change(machine: string, resources: Resources, change: (former: Resources | null) => Promise<void>): Promise<void> {
    const former = this.#resources.get(machine) ?? null;
    this.#resources.delete(machine);
    await change(former);
    this.#resources.set(machine, resources);
  }

  forget(machine: string): void {
    this.#resources.delete(machine);
  }
}
