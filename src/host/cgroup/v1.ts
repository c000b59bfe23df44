/** Hybrid hosts, with controllers on v1: one directory a machine in every controller's own tree, and one in the v2 tree beside them. */
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import type { Resources, Unsupported } from '../../model/resources.ts';
import { treesOf } from './layout.ts';
import type { CgroupLayout } from './layout.ts';
import { noUsage } from './cgroup.ts';
import type { CgroupUsage, Cgroups, PoolAmount } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, kernelFiles, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { lookAtDisk, noTraffic, trafficV1, unsupportedIo } from './io.ts';
import type { IoDisk } from './io.ts';
import { applyV1, withSwapFile } from './limits-v1.ts';
import { Monitors } from './monitors.ts';
import { setLimit } from './pool-memory-v1.ts';
import { oomScoreWithin, rescoreAll } from './oom-score.ts';
import { isMachine } from './parent.ts';
import { finiteMib, memoryBytes, poolSwapBytes, sharesOf, poolWeight } from './settings.ts';
import { groupPressure } from './pressure.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { Applied } from './applied.ts';
import { UnitProperties, poolProperties } from './unit-properties.ts';
import { waitUntilEmpty } from './wait.ts';

export class CgroupsV1 implements Cgroups {
  readonly layout = 'hybrid';
  readonly unsupported: readonly Unsupported[];
  readonly #parent: string;
  #poolMib: number;
  /** The least that was borrowed at a try to make the pool smaller, and how many tries in a row found no less. */
  #shrinking = notShrinking;
  readonly #unit: UnitProperties | null;
  /** Null where nothing of it can be shared or limited. */
  readonly #disk: IoDisk | null;
  readonly #unifiedTree: string;
  /** Every tree a machine has a directory in. */
  readonly #trees: string[];
  readonly #monitors: Monitors;
  readonly #applied = new Applied();
  readonly #controller: (name: string) => string;

  constructor(layout: CgroupLayout, unified: string, options: CgroupOptions) {
    const { path, unit } = options.parent;
    this.#unifiedTree = unified;
    this.#parent = path;
    this.#unit = unit === null ? null : new UnitProperties(unit, options.logger);
    this.#trees = treesOf(layout);
    this.#controller = (name) => {
      const tree = layout.v1.get(name);
      if (tree === undefined) throw new CenoteError('unsupported', `this host has no ${name} cgroup controller`);
      return tree;
    };
    for (const tree of this.#trees) makeGroup(join(tree, path));
    this.#poolMib = finiteMib(readNumber(this.#group('memory', ''), 'memory.limit_in_bytes')) ?? options.pool.memoryMib;
    const blkio = layout.v1.get('blkio');
    this.#disk = blkio === undefined ? null : lookAtDisk(options.disk, join(blkio, path), null);
    this.unsupported = unsupportedIo(this.#disk, 'v1', blkio !== undefined);
    const cpuset = layout.v1.get('cpuset');
    if (cpuset !== undefined) fillCpuset(cpuset, path);
    this.#monitors = new Monitors(treesThatTell(layout), path, {});
  }

  get poolMib(): number {
    return this.#poolMib;
  }

  async setPool({ memoryMib, cpuMillis }: PoolAmount): Promise<boolean> {
    const pool = this.#group('memory', '');
    const bytes = memoryBytes(memoryMib);
    const isLimited = !this.#isForGovernor(pool, bytes) && (await limitPool(pool, bytes, poolSwapBytes(memoryMib)));
    if (isLimited) this.#poolMib = memoryMib;
    if (this.#unit === null) write(this.#group('cpu', ''), 'cpu.shares', sharesOf(cpuMillis));
    // After the kernel, which may have to reclaim: systemd would wait for that. It knows no limit for memory and swap together, and leaves ours.
    else await this.#unit.set(poolProperties(this.#poolMib, poolWeight(cpuMillis)));
    return isLimited;
  }

  /**
   * Whether a smaller pool is left to the governor, which takes what is too much from those that borrow: on a write of the limit the kernel would
   * take it from anyone, and file cache of those within their guarantees before what a borrower has of its own. Asked once a second; when
   * nothing has come of it for so long, it is the kernel's.
   */
  #isForGovernor(pool: string, bytes: number): boolean {
    const borrowed = readNumber(pool, 'memory.usage_in_bytes') <= bytes ? 0 : borrowedBytes(pool);
    const { leastBytes, vainTries } = this.#shrinking;
    const hasFallen = borrowed <= leastBytes - noticeableBytes;
    this.#shrinking = { leastBytes: Math.min(borrowed, leastBytes), vainTries: hasFallen ? 0 : vainTries + 1 };
    if (borrowed >= noticeableBytes && this.#shrinking.vainTries < mostVainTries) return true;
    this.#shrinking = notShrinking;
    return false;
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
    return this.#applied.change(machine, resources, (former) => applyV1(kernelFiles, groups, { resources, former, poolMib: this.#poolMib, disk: this.#disk }));
  }

  oomScore(guaranteeMib: number): number {
    return oomScoreWithin(guaranteeMib / this.#poolMib);
  }

  rescore(machine: string, formerScore: number, score: number): Promise<void> {
    const pids = () => ifPresent(() => readPids(this.#group('memory', machine))) ?? [];
    return rescoreAll(pids, formerScore, score);
  }

  admitMonitor(pid: number): Promise<void> {
    return this.#monitors.admit(pid);
  }

  async usage(machine: string): Promise<CgroupUsage> {
    const memory = this.#group('memory', machine);
    const used = ifPresent(() => readNumber(memory, 'memory.usage_in_bytes'));
    if (used === null) return noUsage;
    const cpu = readTable(this.#group('cpu', machine), 'cpu.stat');
    const { total_inactive_file: inactive = 0, total_swap: swapped = 0 } = readTable(memory, 'memory.stat');
    return {
      cpuSeconds: readNumber(this.#group('cpuacct', machine), 'cpuacct.usage') / 1e9,
      throttledSeconds: (cpu['throttled_time'] ?? 0) / 1e9,
      memoryMib: used / 2 ** 20,
      workingSetMib: Math.max(0, used - inactive) / 2 ** 20,
      swapMib: swapped / 2 ** 20,
      processes: readNumber(this.#group('pids', machine), 'pids.current'),
      refusedProcesses: readTable(this.#group('pids', machine), 'pids.events')['max'] ?? 0,
      outOfMemoryKills: readTable(memory, 'memory.oom_control')['oom_kill'] ?? 0,
      memoryLimitMib: readNumber(memory, 'memory.limit_in_bytes') / 2 ** 20,
      ...(this.#disk === null ? noTraffic : trafficV1(readText(this.#group('blkio', machine), 'blkio.throttle.io_service_bytes'), this.#disk)),
      pressure: groupPressure(this.#unified(machine)),
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
    this.#applied.forget(machine);
  }

  async list(): Promise<string[]> {
    return [...new Set(this.#trees.flatMap((tree) => childGroups(join(tree, this.#parent))))].filter(isMachine);
  }

  async close(): Promise<void> {
    this.#monitors[Symbol.dispose]();
  }
}

/** Where a monitor's group matters: what it uses is counted there, or an init looks there for the processes of its services. A move costs in each. */
const treesThatTell = ({ unified, v1, named }: CgroupLayout): string[] => [
  ...new Set(['memory', 'cpu', 'cpuacct', 'pids'].flatMap((name) => v1.get(name) ?? [])),
  ...named,
  ...(unified === null ? [] : [unified]),
];

/** A v1 cpuset takes no process until both are set, from the top down. */
const fillCpuset = (tree: string, parent: string) => {
  let at = tree;
  for (const part of parent.split('/').filter(Boolean)) {
    const from = at;
    at = join(at, part);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) if (readText(at, file) === '') write(at, file, readText(from, file));
  }
};

const noticeableBytes = 2 ** 20;
const mostVainTries = 3;
const notShrinking = { leastBytes: Infinity, vainTries: 0 };

/** What machines have beyond their guarantees. */
const borrowedBytes = (pool: string): number =>
  childGroups(pool)
    .filter(isMachine)
    .map((machine) => ifPresent(() => readNumber(join(pool, machine), 'memory.usage_in_bytes') - readNumber(join(pool, machine), 'memory.soft_limit_in_bytes')))
    .reduce<number>((sum, each) => sum + Math.max(0, each ?? 0), 0);

/** What comes back from swap is counted twice for a moment. */
const onTheirWayBytes = 32 * 2 ** 20;

/**
 * All machines together: each one's own limit would let the many of them fill the host's swap. The kernel wants memory never above memory and
 * swap, so the order depends on the direction. Both together are never set below what is used of them: the kernel could bring that down by
 * file cache alone, whosesoever. Who has more in swap than a smaller pool's part of it keeps that.
 */
const limitPool = async (group: string, memory: number, swap: number): Promise<boolean> => {
  const former = ifPresent(() => readNumber(group, withSwapFile));
  if (former !== null && memory + swap > former) await setLimit(group, memory + swap, withSwapFile);
  if (!(await setLimit(group, memory))) return false;
  if (former === null || memory + swap >= former) return true;
  const used = readNumber(group, 'memory.memsw.usage_in_bytes') + onTheirWayBytes;
  await setLimit(group, Math.min(former, Math.max(memory + swap, used)), withSwapFile);
  return true;
};
