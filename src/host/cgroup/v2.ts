/**
 * cgroup v2: one directory a machine.
 *
 * A machine's `memory.min` counts only as far as the group above has as much itself. It has the sum of its machines' and no byte more: with
 * the mount option `memory_recursiveprot`, which systemd uses, the kernel would give what is left over to whoever borrows, and the host
 * could never have it back.
 */
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import type { Resources, Unsupported } from '../../model/resources.ts';
import { noUsage } from './cgroup.ts';
import type { CgroupUsage, Cgroups, PoolAmount } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, kernelFiles, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { lookAtDisk, noTraffic, trafficV2, unsupportedIo } from './io.ts';
import type { IoDisk } from './io.ts';
import { Applied } from './applied.ts';
import { applyV2 } from './limits-v2.ts';
import { Monitors, monitorsMillis } from './monitors.ts';
import { oomScoreWithin, rescoreAll } from './oom-score.ts';
import { isMachine, keeperName } from './parent.ts';
import { finiteMib, machineWeight, memoryBytes, poolSwapBytes, poolWeight } from './settings.ts';
import { heldV2, put } from './pool-memory-v2.ts';
import { groupPressure } from './pressure.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { UnitProperties, poolProperties } from './unit-properties.ts';
import { waitUntilEmpty } from './wait.ts';

const wanted = ['cpu', 'cpuset', 'memory', 'pids', 'io'];

export class CgroupsV2 implements Cgroups {
  readonly layout = 'v2';
  readonly unsupported: readonly Unsupported[];
  readonly #tree: string;
  readonly #parent: string;
  #poolMib: number;
  #poolWeight: number;
  readonly #unit: UnitProperties | null;
  readonly #logger: Logger;
  readonly #monitors: Monitors;
  /** Bytes of `memory.min` by machine. */
  readonly #guaranteed = new Map<string, number>();
  /** Of all of them. */
  #guaranteedBytes = 0;
  readonly #applied = new Applied();
  /** Null where nothing of it can be shared or limited. */
  readonly #disk: IoDisk | null;

  constructor(tree: string, options: CgroupOptions) {
    this.#tree = tree;
    this.#parent = options.parent.path;
    this.#poolWeight = poolWeight(options.pool.cpuMillis);
    this.#logger = options.logger;
    const { unit } = options.parent;
    this.#unit = unit === null ? null : new UnitProperties(unit, options.logger);
    const parent = join(tree, this.#parent);
    if (unit === null) enableDownTo(tree, this.#parent);
    else {
      makeGroup(join(parent, keeperName));
      for (const pid of readPids(parent)) write(join(parent, keeperName), 'cgroup.procs', pid);
      enable(parent);
    }
    this.#poolMib = finiteMib(ifPresent(() => readNumber(parent, 'memory.max')) ?? Infinity) ?? options.pool.memoryMib;
    const hasIo = readText(parent, 'cgroup.subtree_control').split(' ').includes('io');
    const disk = lookAtDisk(options.disk, parent, tree);
    this.#disk = hasIo ? disk : null;
    this.unsupported = unsupportedIo(disk, 'v2', hasIo);
    this.#monitors = new Monitors([tree], this.#parent, { 'cpu.weight': machineWeight(monitorsMillis) });
    for (const machine of childGroups(parent).filter(isMachine)) this.#remember(machine, ifPresent(() => readNumber(join(parent, machine), 'memory.min')) ?? 0);
  }

  get poolMib(): number {
    return this.#poolMib;
  }

  async setPool({ memoryMib, cpuMillis }: PoolAmount): Promise<boolean> {
    const parent = this.#group('');
    this.#poolWeight = poolWeight(cpuMillis);
    // A limit below what is used would kill.
    const isLimited = await reclaimOnce(parent, memoryBytes(memoryMib));
    if (isLimited) this.#poolMib = memoryMib;
    if (this.#unit === null) {
      if (isLimited) write(parent, 'memory.max', memoryBytes(memoryMib));
      // Each machine's own limit would let all of them together fill the host's swap.
      if (isLimited && ifPresent(() => readText(parent, 'memory.swap.max')) !== null) write(parent, 'memory.swap.max', poolSwapBytes(memoryMib));
      write(parent, 'cpu.weight', this.#poolWeight);
    }
    await this.#protect();
    return isLimited;
  }

  path(machine: string): string {
    return `${this.#parent}/${machine}`;
  }

  #group(machine: string): string {
    return join(this.#tree, this.#parent, machine);
  }

  async apply(machine: string, resources: Resources): Promise<void> {
    await this.#applied.change(machine, resources, (former) =>
      applyV2(kernelFiles, this.#group(machine), { resources, former, poolMib: this.#poolMib, disk: this.#disk }),
    );
    if (this.#remember(machine, memoryBytes(resources.memoryMib))) this.#protectSoon();
  }

  oomScore(guaranteeMib: number): number {
    return oomScoreWithin(guaranteeMib / this.#poolMib);
  }

  rescore(machine: string, formerScore: number, score: number): Promise<void> {
    const pids = () => ifPresent(() => readPids(this.#group(machine))) ?? [];
    return rescoreAll(pids, formerScore, score);
  }

  admitMonitor(pid: number): Promise<void> {
    return this.#monitors.admit(pid);
  }

  async usage(machine: string): Promise<CgroupUsage> {
    const group = this.#group(machine);
    const used = ifPresent(() => readNumber(group, 'memory.current'));
    if (used === null) return noUsage;
    const cpu = readTable(group, 'cpu.stat');
    return {
      cpuSeconds: (cpu['usage_usec'] ?? 0) / 1e6,
      throttledSeconds: (cpu['throttled_usec'] ?? 0) / 1e6,
      memoryMib: used / 2 ** 20,
      workingSetMib: Math.max(0, used - (readTable(group, 'memory.stat')['inactive_file'] ?? 0)) / 2 ** 20,
      swapMib: (ifPresent(() => readNumber(group, 'memory.swap.current')) ?? 0) / 2 ** 20,
      processes: readNumber(group, 'pids.current'),
      refusedProcesses: readTable(group, 'pids.events')['max'] ?? 0,
      outOfMemoryKills: readTable(group, 'memory.events')['oom_kill'] ?? 0,
      memoryLimitMib: Math.min(heldV2(group) / 2 ** 20, this.#poolMib),
      ...(this.#disk === null ? noTraffic : trafficV2(readText(group, 'io.stat'), this.#disk)),
      pressure: groupPressure(group),
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
    this.#applied.forget(machine);
    if (this.#remember(machine, 0)) this.#protectSoon();
  }

  async list(): Promise<string[]> {
    return childGroups(join(this.#tree, this.#parent)).filter(isMachine);
  }

  async close(): Promise<void> {
    this.#monitors[Symbol.dispose]();
  }

  /** Whether it is another than before. */
  #remember(machine: string, bytes: number): boolean {
    const former = this.#guaranteed.get(machine) ?? 0;
    this.#guaranteedBytes += bytes - former;
    if (bytes > 0) this.#guaranteed.set(machine, bytes);
    else this.#guaranteed.delete(machine);
    return bytes !== former;
  }

  /** Beside the machine's own limits, which hold without it; the next change says the whole sum again. */
  #protectSoon(): void {
    this.#protect().catch((error: unknown) => this.#logger.error({ err: error }, 'what the machines together are guaranteed could not be set'));
  }

  async #protect(): Promise<void> {
    if (this.#unit === null) write(join(this.#tree, this.#parent), 'memory.min', this.#guaranteedBytes);
    else await this.#unit.set({ ...poolProperties(this.#poolMib, this.#poolWeight), MemoryMin: this.#guaranteedBytes });
  }
}

/** One attempt, sparing what is guaranteed as far as the kernel can. Whether no more than `bytes` is used now. */
const reclaimOnce = async (group: string, bytes: number): Promise<boolean> => {
  const above = () => readNumber(group, 'memory.current') - bytes;
  if (above() > 0) await put(group, 'memory.reclaim', above());
  return above() <= 0;
};

const enableDownTo = (tree: string, path: string): void => {
  let at = tree;
  for (const part of path.split('/').filter(Boolean)) {
    enable(at);
    at = join(at, part);
    makeGroup(at);
  }
  enable(at);
};

/** Hands down every controller we use that the host has. */
const enable = (group: string) => {
  const offered = readText(group, 'cgroup.controllers').split(' ');
  const already = readText(group, 'cgroup.subtree_control').split(' ');
  for (const controller of wanted) {
    if (!offered.includes(controller) || already.includes(controller)) continue;
    write(group, 'cgroup.subtree_control', `+${controller}`);
  }
};
