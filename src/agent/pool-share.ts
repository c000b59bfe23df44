/**
 * The pool follows the instance's share of the host while machines run: `cenote up` changes it, its own or another instance's. Less is
 * promised at once; what machines borrowed beyond it is taken back by the governor, to which the pool is smaller from then on, and the kernel's
 * limit comes after. More is promised when the kernel has been told.
 */
import { messageChain } from '../base/errors.ts';
import type { Cgroups, PoolAmount } from '../host/cgroup/cgroup.ts';
import { limitAsRecorded } from './recover.ts';
import type { Host } from './host.ts';
import type { Machines } from './machines.ts';

const lookEveryMs = 1000;

export class PoolShare implements AsyncDisposable {
  readonly #read: () => PoolAmount;
  readonly #cgroups: Cgroups;
  #wanted: PoolAmount;
  #held: PoolAmount;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  /** `read` tells the share as it is now; `opened` is what the control groups were opened with. */
  constructor(read: () => PoolAmount, cgroups: Cgroups, opened: PoolAmount) {
    this.#read = read;
    this.#cgroups = cgroups;
    this.#wanted = opened;
    this.#held = { ...opened, memoryMib: cgroups.poolMib };
  }

  /** What the machines may have now; the rest is on its way. */
  get held(): PoolAmount {
    return this.#held;
  }

  /** What machines may be guaranteed of it. */
  get promisable(): PoolAmount {
    const now = this.#read();
    return { cpuMillis: Math.min(now.cpuMillis, this.#held.cpuMillis), memoryMib: Math.min(now.memoryMib, this.#held.memoryMib) };
  }

  /** What the pool is to come to. */
  get wanted(): PoolAmount {
    return this.#wanted;
  }

  follow(host: Host, machines: Machines): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look(host, machines).finally(() => {
        if (this.#timer !== undefined) this.follow(host, machines);
      });
    }, lookEveryMs).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#looking;
  }

  async #look(host: Host, machines: Machines): Promise<void> {
    try {
      const wanted = (this.#wanted = this.#read());
      if (isSame(wanted, this.#held)) return;
      const isDone = await this.#cgroups.setPool(wanted);
      this.#held = isDone ? wanted : { ...this.#held, cpuMillis: wanted.cpuMillis };
      if (!isDone) return;
      host.logger.info({ ...wanted }, 'the pool follows the share of the host');
      // Machines' limits and scores are parts of the pool.
      await limitAsRecorded(host, [...machines.all()]);
    } catch (error) {
      host.logger.error({ error: messageChain(error) }, 'the pool could not be made as large as its share of the host');
    }
  }
}

const isSame = (one: PoolAmount, other: PoolAmount): boolean => one.cpuMillis === other.cpuMillis && one.memoryMib === other.memoryMib;
