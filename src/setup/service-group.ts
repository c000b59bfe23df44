/**
 * A control group for the services themselves, under our own supervisor; with systemd each unit has one. All machines together weigh at
 * most what they are guaranteed; the services weigh more than they ever need, so that they are never kept waiting, and their memory is
 * the last to be swapped (v1) or not taken at all (v2). Without it they run all the same, as any other process of the host.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { makeGroup, readPids, readText, write } from '../host/cgroup/files.ts';
import { detectLayout } from '../host/cgroup/layout.ts';
import type { CgroupLayout } from '../host/cgroup/layout.ts';
import type { ServiceName } from './service-list.ts';

/** Four cores' worth, shared by few threads that mostly sleep. */
const shares = 4096;
const serviceWeight = 400;
/** What those who answer people and machines weigh beside the agent, with all the runtimes that it starts: their work is short, and somebody waits. */
const answering: ReadonlySet<Member> = new Set(['control', 'resolver']);
const answeringTimes = 4;
const timesOf = (member: Member): number => (answering.has(member) ? answeringTimes : 1);

/** Of a unit of its own. */
export const unitWeight = (service: ServiceName): number => serviceWeight * timesOf(service);
/** What each is with a thousand machines; of the supervisor it is little. */
export const protectedMib = { agent: 192, control: 160, lxcfs: 32, resolver: 64, 'stand-in': 64 } as const;
const protectedBytes = Object.values(protectedMib).reduce<number>((sum, mib) => sum + mib, 0) * 2 ** 20;
const lastToSwap = 1;

export const serviceGroup = (instance: string): string => `/cenote-${instance}.services`;

/**
 * Makes the group, and in it one for each service: what the agent starts (a runtime for each machine that starts) does not keep the others
 * waiting then. The result moves a process, and whatever it starts from then on.
 */
export const openServiceGroup = (instance: string, layout: CgroupLayout = detectLayout()): ((member: Member, pid: number) => void) => {
  const [cpu, memory] = [layout.v1.get('cpu'), layout.v1.get('memory')];
  const { unified } = layout;
  const parts: Part[] = [];
  if (cpu !== undefined) parts.push(new Part(cpu, instance, { 'cpu.shares': shares }, { file: 'cpu.shares', usual: 1024 }));
  if (memory !== undefined) parts.push(new Part(memory, instance, { 'memory.swappiness': lastToSwap }, null));
  else if (unified !== null) {
    const offered = enable(unified, ['cpu', 'memory']);
    const part = new Part(unified, instance, { 'cpu.weight': serviceWeight, 'memory.min': protectedBytes }, { file: 'cpu.weight', usual: 100 });
    // With processes of its own a group of v2 gives its own groups nothing.
    for (const pid of readPids(part.group)) part.admit('supervisor', pid);
    enable(part.group, offered);
    parts.push(part);
  }
  return (member, pid) => {
    for (const part of parts) part.admit(member, pid);
  };
};

type Member = ServiceName | 'supervisor';

/** One tree's part of it. */
class Part {
  readonly group: string;
  /** Of each member's group in it; null: they have none. */
  readonly #weight: { file: string; usual: number } | null;

  constructor(tree: string, instance: string, settings: Record<string, number>, weight: { file: string; usual: number } | null) {
    this.group = join(tree, serviceGroup(instance));
    this.#weight = weight;
    makeGroup(this.group);
    for (const [file, value] of Object.entries(settings)) write(this.group, file, value);
  }

  admit(member: Member, pid: number): void {
    const group = this.#weight === null ? this.group : join(this.group, member);
    makeGroup(group);
    if (this.#weight !== null && existsSync(join(group, this.#weight.file))) write(group, this.#weight.file, this.#weight.usual * timesOf(member));
    if (member !== 'supervisor' && existsSync(join(group, 'memory.min'))) write(group, 'memory.min', protectedMib[member] * 2 ** 20);
    write(group, 'cgroup.procs', pid);
  }
}

/** Those of the controllers that the group may hand on. */
const enable = (group: string, controllers: readonly string[]): string[] => {
  const offered = readText(group, 'cgroup.controllers').split(' ');
  const found = controllers.filter((controller) => offered.includes(controller));
  for (const controller of found) write(group, 'cgroup.subtree_control', `+${controller}`);
  return found;
};
