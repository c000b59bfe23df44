/** cgroup v2: one directory a machine. */
import { join } from 'node:path';
import type { Resources, Unsupported } from '../../model/resources.ts';
import type { CgroupUsage, Cgroups } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, kernelFiles, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { lookAtDisk, unsupportedIo } from './io.ts';
import type { IoDisk } from './io.ts';
import { applyV2 } from './limits-v2.ts';
import { memoryBytes, poolSwapBytes } from './settings.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { waitUntilEmpty } from './wait.ts';

const wanted = ['cpu', 'cpuset', 'memory', 'pids', 'io'];

export class CgroupsV2 implements Cgroups {
  readonly layout = 'v2';
  readonly unsupported: readonly Unsupported[];
  readonly #tree: string;
  readonly #parent: string;
  readonly #poolMib: number;
  /** Null where nothing of it can be shared or limited. */
  readonly #disk: IoDisk | null;

  constructor(tree: string, options: CgroupOptions) {
    this.#tree = tree;
    this.#parent = options.parent;
    this.#poolMib = options.poolMib;
    let at = tree;
    for (const part of options.parent.split('/').filter(Boolean)) {
      enable(at);
      at = join(at, part);
      makeGroup(at);
    }
    enable(at);
    const hasIo = readText(at, 'cgroup.subtree_control').split(' ').includes('io');
    const disk = lookAtDisk(options.disk, tree);
    this.#disk = hasIo ? disk : null;
    this.unsupported = unsupportedIo(disk, 'v2', hasIo);
    write(at, 'memory.max', memoryBytes(options.poolMib));
    // Each machine's own limit would let all of them together fill the host's swap.
    if (ifPresent(() => readText(at, 'memory.swap.max')) !== null) write(at, 'memory.swap.max', poolSwapBytes(options.poolMib));
    // A child's protection counts only as far as its parent is protected.
    write(at, 'memory.min', memoryBytes(options.poolMib));
    write(at, 'cpu.weight', Math.min(10_000, Math.max(1, Math.round(options.poolCpuMillis / 10))));
  }

  path(machine: string): string {
    return `${this.#parent}/${machine}`;
  }

  #group(machine: string): string {
    return join(this.#tree, this.#parent, machine);
  }

  apply(machine: string, resources: Resources): Promise<void> {
    return applyV2(kernelFiles, this.#group(machine), resources, this.#poolMib, this.#disk);
  }

  async usage(machine: string): Promise<CgroupUsage> {
    const group = this.#group(machine);
    const used = ifPresent(() => readNumber(group, 'memory.current'));
    if (used === null) return { cpuSeconds: 0, throttledSeconds: 0, memoryMib: 0, workingSetMib: 0, processes: 0, outOfMemoryKills: 0 };
    const cpu = readTable(group, 'cpu.stat');
    return {
      cpuSeconds: (cpu['usage_usec'] ?? 0) / 1e6,
      throttledSeconds: (cpu['throttled_usec'] ?? 0) / 1e6,
      memoryMib: used / 2 ** 20,
      workingSetMib: Math.max(0, used - (readTable(group, 'memory.stat')['inactive_file'] ?? 0)) / 2 ** 20,
      processes: readNumber(group, 'pids.current'),
      outOfMemoryKills: readTable(group, 'memory.events')['oom_kill'] ?? 0,
    };
  }

  async processes(machine: string): Promise<number[]> {
    return ifPresent(() => readPids(this.#group(machine))) ?? [];
  }

  freeze(machine: string): Promise<void> {
    return freezeGroup(this.#group(machine));
  }

  async thaw(machine: string): Promise<void> {
    thawGroup(this.#group(machine));
  }

  async kill(machine: string): Promise<void> {
    killGroup(this.#group(machine));
  }

  async remove(machine: string): Promise<void> {
    await waitUntilEmpty(
      machine,
      () => removeGroup(this.#group(machine)),
      () => this.kill(machine),
    );
  }

  async list(): Promise<string[]> {
    return childGroups(join(this.#tree, this.#parent));
  }

  async close(options: { remove: boolean }): Promise<void> {
    if (!options.remove) return;
    removeGroup(join(this.#tree, this.#parent));
  }
}

/** Hands down every controller we use that the host has. */
const enable = (group: string) => {
  const offered = readText(group, 'cgroup.controllers').split(' ');
  const already = readText(group, 'cgroup.subtree_control').split(' ');
  for (const controller of wanted) {
    if (!offered.includes(controller) || already.includes(controller)) continue;
    write(group, 'cgroup.subtree_control', `+${controller}`);
  }
};
