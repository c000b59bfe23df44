/**
 * Room for the measurement: a control group for the load generator, with a weight that lets it run whenever it wants to; a weight for what is measured
 * that leaves other programs of the host little, alike for every cut; and slices for what is no machine of ours.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ifPresent, makeGroup, readPids, removeGroup, write } from '../../src/host/cgroup/files.ts';
import { detectLayout } from '../../src/host/cgroup/layout.ts';
import { identify, signalProcess } from '../../src/sys/process-identity.ts';

export interface Reserve extends Disposable {
  /** To write a pid to. */
  files: string[];
}

/**
 * For v1's shares and v2's weight; a group that nobody has touched has 1024 and 100. What is measured must not have so much that the agent, which is
 * one of the other programs, comes to nothing on a busy host.
 */
const generator = { 'cpu.shares': 200_000, 'cpu.weight': 10_000 } as const;
const measured = { 'cpu.shares': 20_000, 'cpu.weight': 2000 } as const;
const periodUs = 100_000;
const removeRounds = 100;
const removeEveryMs = 10;

const cpuTree = (): string => {
  const { v1, unified } = detectLayout();
  const tree = v1.get('cpu') ?? unified;
  if (tree === null) throw new Error('this host has no control group for the CPU');
  return tree;
};

/** What a control group of this version has of these files. */
const set = (group: string, values: Record<string, string | number>): void => {
  for (const [file, value] of Object.entries(values)) if (existsSync(join(group, file))) write(group, file, value);
};

/** Takes a group away with those in it; also when the process ends before it is disposed of, and who is in it still works. */
const leaving = (group: string, inner: readonly string[] = []): Disposable => {
  const end = (): void => {
    process.off('exit', end);
    const pids = [group, ...inner].flatMap((one) => ifPresent(() => readPids(one)) ?? []);
    for (const identity of pids.flatMap((pid) => identify(pid) ?? [])) signalProcess(identity, 'SIGKILL');
    // A process that was killed has to end first. Nothing asynchronous is done when a process exits.
    for (let round = 0; !removeGroup(group) && round < removeRounds; round += 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, removeEveryMs);
  };
  process.on('exit', end);
  return { [Symbol.dispose]: end };
};

export const openReserve = (): Reserve => {
  const group = join(cpuTree(), `cenote-bench-load-${process.pid}`);
  makeGroup(group);
  set(group, generator);
  return { files: [join(group, 'cgroup.procs')], ...leaving(group) };
};

export const favourInstance = (instance: string): void => set(join(cpuTree(), `cenote-${instance}`), measured);

export interface Slices extends Disposable {
  /** Holds a process to the CPU of one slice, with all its threads. */
  hold(index: number, pid: number): void;
}

export const openSlices = (count: number, cpuMillis: number): Slices => {
  const parent = join(cpuTree(), `cenote-bench-slices-${process.pid}`);
  makeGroup(parent);
  set(parent, { ...measured, 'cgroup.subtree_control': '+cpu' });
  const groups = Array.from({ length: count }, (_, index) => join(parent, String(index)));
  const quota = Math.round((cpuMillis * periodUs) / 1000);
  for (const group of groups) {
    makeGroup(group);
    set(group, { 'cpu.cfs_period_us': periodUs, 'cpu.cfs_quota_us': quota, 'cpu.max': `${quota} ${periodUs}` });
  }
  return { hold: (index, pid) => write(groups[index]!, 'cgroup.procs', pid), ...leaving(parent, groups) };
};
