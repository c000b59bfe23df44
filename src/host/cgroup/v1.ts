/** Hybrid hosts, with controllers on v1: one directory a machine in every controller's own tree, and one in the v2 tree beside them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import type { Resources } from '../../model/resources.ts';
import type { CgroupLayout } from './layout.ts';
import type { CgroupUsage, Cgroups } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { cpuShares, memoryBytes, memoryLimit, quotaPeriodUs, quotaUs } from './settings.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { waitUntilEmpty } from './wait.ts';

/** Missing where the kernel does not count swap. */
const withSwapFile = 'memory.memsw.limit_in_bytes';

export class CgroupsV1 implements Cgroups {
  readonly layout = 'hybrid';
  readonly #parent: string;
  readonly #poolMib: number;
  readonly #unifiedTree: string;
  /** Every tree a machine has a directory in: the v1 controllers, named trees, and v2. */
  readonly #trees: string[];
  readonly #controller: (name: string) => string;

  constructor(layout: CgroupLayout, unified: string, options: CgroupOptions) {
    this.#unifiedTree = unified;
    this.#parent = options.parent;
    this.#poolMib = options.poolMib;
    this.#trees = [...new Set([...layout.v1.values(), ...layout.named, unified])];
    this.#controller = (name) => {
      const tree = layout.v1.get(name);
      if (tree === undefined) throw new CenoteError('unsupported', `this host has no ${name} cgroup controller`);
      return tree;
    };
    for (const tree of this.#trees) makeGroup(join(tree, this.#parent));
    const cpuset = layout.v1.get('cpuset');
    if (cpuset !== undefined) fillCpuset(cpuset, this.#parent);
    write(join(this.#controller('memory'), this.#parent), 'memory.limit_in_bytes', memoryBytes(options.poolMib));
    write(join(this.#controller('cpu'), this.#parent), 'cpu.shares', Math.max(2, Math.round((options.poolCpuMillis * 1024) / 1000)));
  }

  path(machine: string): string {
    return `${this.#parent}/${machine}`;
  }

  #unified(machine: string): string {
    return join(this.#unifiedTree, this.#parent, machine);
  }

  #group(controller: string, machine: string): string {
    return join(this.#controller(controller), this.#parent, machine);
  }

  async apply(machine: string, resources: Resources): Promise<void> {
    const memory = this.#group('memory', machine);
    const cpu = this.#group('cpu', machine);
    const pids = this.#group('pids', machine);
    const before = {
      limit: readNumber(memory, 'memory.limit_in_bytes'),
      withSwap: ifPresent(() => readNumber(memory, withSwapFile)),
      soft: readNumber(memory, 'memory.soft_limit_in_bytes'),
      shares: readNumber(cpu, 'cpu.shares'),
      quota: readNumber(cpu, 'cpu.cfs_quota_us'),
      processes: readNumber(pids, 'pids.max'),
    };
    await using undo = new AsyncDisposableStack();
    const put = (directory: string, file: string, value: number, former: number) => {
      undo.defer(() => write(directory, file, former === Infinity ? (file === 'pids.max' ? 'max' : -1) : former));
      write(directory, file, value === Infinity ? (file === 'pids.max' ? 'max' : -1) : value);
    };
    // Memory first: it is the only one the kernel may refuse. The ceiling is for memory and swap together, else a machine that takes
    // too much would fill the host's swap; and the kernel wants the first never above the second.
    const limits = [{ file: 'memory.limit_in_bytes', former: before.limit }];
    const limit = memoryLimit(resources, this.#poolMib);
    if (before.withSwap !== null) limits.splice(limit > before.withSwap ? 0 : 1, 0, { file: withSwapFile, former: before.withSwap });
    for (const { file, former } of limits) {
      undo.defer(() => write(memory, file, former === Infinity ? -1 : former));
      await setMemoryLimit(memory, file, limit);
    }
    put(memory, 'memory.soft_limit_in_bytes', memoryBytes(resources.memoryMib), before.soft);
    put(cpu, 'cpu.shares', cpuShares(resources), before.shares);
    write(cpu, 'cpu.cfs_period_us', quotaPeriodUs);
    put(cpu, 'cpu.cfs_quota_us', quotaUs(resources) ?? -1, before.quota);
    put(pids, 'pids.max', resources.processes, before.processes);
    undo.move();
  }

  async usage(machine: string): Promise<CgroupUsage> {
    const memory = this.#group('memory', machine);
    const used = ifPresent(() => readNumber(memory, 'memory.usage_in_bytes'));
    if (used === null) return { cpuSeconds: 0, throttledSeconds: 0, memoryMib: 0, workingSetMib: 0, processes: 0, outOfMemoryKills: 0 };
    const cpu = readTable(this.#group('cpu', machine), 'cpu.stat');
    const inactive = readTable(memory, 'memory.stat')['total_inactive_file'] ?? 0;
    return {
      cpuSeconds: readNumber(this.#group('cpuacct', machine), 'cpuacct.usage') / 1e9,
      throttledSeconds: (cpu['throttled_time'] ?? 0) / 1e9,
      memoryMib: used / 2 ** 20,
      workingSetMib: Math.max(0, used - inactive) / 2 ** 20,
      processes: readNumber(this.#group('pids', machine), 'pids.current'),
      outOfMemoryKills: readTable(memory, 'memory.oom_control')['oom_kill'] ?? 0,
    };
  }

  async processes(machine: string): Promise<number[]> {
    return ifPresent(() => readPids(this.#group('pids', machine))) ?? [];
  }

  freeze(machine: string): Promise<void> {
    return freezeGroup(this.#unified(machine));
  }

  async thaw(machine: string): Promise<void> {
    thawGroup(this.#unified(machine));
  }

  async kill(machine: string): Promise<void> {
    killGroup(this.#unified(machine));
  }

  async remove(machine: string): Promise<void> {
    await waitUntilEmpty(
      machine,
      () => this.#trees.every((tree) => removeGroup(join(tree, this.#parent, machine))),
      () => this.kill(machine),
    );
  }

  async list(): Promise<string[]> {
    return [...new Set(this.#trees.flatMap((tree) => childGroups(join(tree, this.#parent))))];
  }

  async close(options: { remove: boolean }): Promise<void> {
    if (!options.remove) return;
    for (const tree of this.#trees) removeGroup(join(tree, this.#parent));
  }
}

/** A v1 cpuset takes no process until both are set, from the top down. */
const fillCpuset = (tree: string, parent: string) => {
  let at = tree;
  for (const part of parent.split('/').filter(Boolean)) {
    const from = at;
    at = join(at, part);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) if (readText(at, file) === '') write(at, file, readText(from, file));
  }
};

/** The kernel reclaims by itself on this write and says EBUSY when it cannot get below; then the old limit still stands and nobody is killed. */
const setMemoryLimit = async (memory: string, file: string, bytes: number) => {
  for (let attempt = 1; ; attempt++) {
    try {
      write(memory, file, bytes);
      return;
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
      if (attempt < 5) {
        await sleep(attempt);
        continue;
      }
      const floorMib = Math.ceil(readNumber(memory, file.replace('limit', 'usage')) / 2 ** 20);
      throw new CenoteError(
        'not_enough',
        `memory cannot be brought below ${floorMib}M, which the machine uses now; ${Math.floor(bytes / 2 ** 20)}M was asked for`,
        {
          fields: [{ field: 'resources.memoryCeilingMib', message: `at least ${floorMib}M is in use` }],
        },
      );
    }
  }
};
