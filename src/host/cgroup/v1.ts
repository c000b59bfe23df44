/** Hybrid hosts, with controllers on v1: one directory a machine in every controller's own tree, and one in the v2 tree beside them. */
import { join } from 'node:path';
import { isErrno } from '../../base/errno.ts';
import { CenoteError } from '../../base/errors.ts';
import type { Resources, Unsupported } from '../../model/resources.ts';
import type { CgroupLayout } from './layout.ts';
import type { CgroupUsage, Cgroups } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, kernelFiles, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { lookAtDisk, unsupportedIo } from './io.ts';
import type { IoDisk } from './io.ts';
import { applyV1, withSwapFile } from './limits-v1.ts';
import { memoryBytes, poolSwapBytes } from './settings.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { waitUntilEmpty } from './wait.ts';

export class CgroupsV1 implements Cgroups {
  readonly layout = 'hybrid';
  readonly unsupported: readonly Unsupported[];
  readonly #parent: string;
  readonly #poolMib: number;
  /** Null where nothing of it can be shared or limited. */
  readonly #disk: IoDisk | null;
  readonly #unifiedTree: string;
  /** Every tree a machine has a directory in: the v1 controllers, named trees, and v2. */
  readonly #trees: string[];
  readonly #controller: (name: string) => string;

  constructor(layout: CgroupLayout, unified: string, options: CgroupOptions) {
    this.#unifiedTree = unified;
    this.#parent = options.parent;
    this.#poolMib = options.poolMib;
    const disk = lookAtDisk(options.disk, null);
    this.#disk = layout.v1.has('blkio') ? disk : null;
    this.unsupported = unsupportedIo(disk, 'v1', layout.v1.has('blkio'));
    this.#trees = [...new Set([...layout.v1.values(), ...layout.named, unified])];
    this.#controller = (name) => {
      const tree = layout.v1.get(name);
      if (tree === undefined) throw new CenoteError('unsupported', `this host has no ${name} cgroup controller`);
      return tree;
    };
    for (const tree of this.#trees) makeGroup(join(tree, this.#parent));
    const cpuset = layout.v1.get('cpuset');
    if (cpuset !== undefined) fillCpuset(cpuset, this.#parent);
    limitPool(join(this.#controller('memory'), this.#parent), memoryBytes(options.poolMib), poolSwapBytes(options.poolMib));
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

  apply(machine: string, resources: Resources): Promise<void> {
    const blkio = this.#disk === null ? null : this.#group('blkio', machine);
    const groups = { memory: this.#group('memory', machine), cpu: this.#group('cpu', machine), pids: this.#group('pids', machine), blkio };
    return applyV1(kernelFiles, groups, resources, this.#poolMib, this.#disk);
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

/**
 * All machines together: each one's own limit would let the many of them fill the host's swap. The kernel wants memory never above memory and
 * swap, so the order depends on the direction. A pool that was made smaller than what is in use keeps its former limit until the next start.
 */
const limitPool = (group: string, memory: number, swap: number) => {
  const limits = [() => write(group, 'memory.limit_in_bytes', memory)];
  const withSwap = ifPresent(() => readNumber(group, withSwapFile));
  if (withSwap !== null) limits.splice(memory + swap > withSwap ? 0 : 1, 0, () => write(group, withSwapFile, memory + swap));
  for (const limit of limits) {
    try {
      limit();
    } catch (error) {
      if (!isErrno(error, 'EBUSY')) throw error;
    }
  }
};
