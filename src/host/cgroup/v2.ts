/** cgroup v2: one directory a machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import type { Resources } from '../../model/resources.ts';
import type { CgroupUsage, Cgroups } from './cgroup.ts';
import type { CgroupOptions } from './open.ts';
import { childGroups, ifPresent, makeGroup, readNumber, readPids, readTable, readText, removeGroup, write } from './files.ts';
import { cpuWeight, memoryBytes, memoryLimit, quotaPeriodUs, quotaUs } from './settings.ts';
import { freezeGroup, killGroup, thawGroup } from './stop.ts';
import { waitUntilEmpty } from './wait.ts';

const wanted = ['cpu', 'cpuset', 'memory', 'pids', 'io'];
const reclaimStepBytes = 64 * 2 ** 20;
const reclaimDeadlineMs = 5000;

export class CgroupsV2 implements Cgroups {
  readonly layout = 'v2';
  readonly #tree: string;
  readonly #parent: string;
  readonly #poolMib: number;

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
    write(at, 'memory.max', memoryBytes(options.poolMib));
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

  async apply(machine: string, resources: Resources): Promise<void> {
    const group = this.#group(machine);
    await using undo = new AsyncDisposableStack();
    const put = (file: string, value: string | number) => {
      const former = readText(group, file);
      undo.defer(() => write(group, file, former));
      write(group, file, value);
    };
    const limit = memoryLimit(resources, this.#poolMib);
    // A write of memory.max below what is used kills: reclaim first, and set it only once there is room.
    if (limit < readNumber(group, 'memory.current')) await reclaimTo(group, limit);
    put('memory.max', limit);
    // Not without end, else a machine that takes too much would fill the host's swap. Missing where the kernel does not count swap.
    if (ifPresent(() => readText(group, 'memory.swap.max')) !== null) put('memory.swap.max', limit);
    put('memory.min', memoryBytes(resources.memoryMib));
    put('cpu.weight', cpuWeight(resources));
    put('cpu.max', `${quotaUs(resources) ?? 'max'} ${quotaPeriodUs}`);
    put('pids.max', resources.processes);
    undo.move();
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

/** Reclaims until the group uses at most `target`, or refuses with what it could not get below. */
const reclaimTo = async (group: string, target: number) => {
  const start = performance.now();
  for (;;) {
    const current = readNumber(group, 'memory.current');
    if (current <= target) return;
    const stat = readTable(group, 'memory.stat');
    const swap = hasSwap();
    const floor = swap ? 0 : (stat['anon'] ?? 0) + (stat['shmem'] ?? 0) + (stat['kernel'] ?? 0) - (stat['slab_reclaimable'] ?? 0);
    if (floor > target || performance.now() - start > reclaimDeadlineMs) {
      const floorMib = Math.ceil(Math.max(floor, swap ? current : floor) / 2 ** 20);
      throw new CenoteError(
        'not_enough',
        `memory cannot be brought below ${floorMib}M, which the machine uses now; ${Math.floor(target / 2 ** 20)}M was asked for`,
        {
          fields: [{ field: 'resources.memoryCeilingMib', message: `at least ${floorMib}M is in use` }],
        },
      );
    }
    try {
      write(group, 'memory.reclaim', Math.min(reclaimStepBytes, current - target));
    } catch (error) {
      // EAGAIN: less was reclaimed than asked; the loop looks again. Without memory.reclaim (before 5.19) the floor decides at once.
      if (isErrno(error, 'ENOENT')) return;
      if (!isErrno(error, 'EAGAIN')) throw error;
      await sleep(5);
    }
  }
};

const hasSwap = (): boolean => readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
