/**
 * A control group for the services themselves, under our own supervisor; with systemd each unit has one. All machines together weigh at
 * most what they are guaranteed; the services weigh more than they ever need, so that they are never kept waiting, and their memory is
 * the last to be swapped (v1) or not taken at all (v2). Without it they run all the same, as any other process of the host.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeGroup, readText, write } from '../host/cgroup/files.ts';
import { detectLayout } from '../host/cgroup/layout.ts';
import type { CgroupLayout } from '../host/cgroup/layout.ts';

/** Four cores' worth, shared by few threads that mostly sleep. */
const shares = 4096;
export const serviceWeight = 400;
/** What each is with a thousand machines; of the supervisor it is little. */
export const protectedMib = { agent: 192, control: 160, lxcfs: 32, resolver: 64 } as const;
const protectedBytes = Object.values(protectedMib).reduce<number>((sum, mib) => sum + mib, 0) * 2 ** 20;
const lastToSwap = 1;

export const serviceGroup = (instance: string): string => `/cenote-${instance}.services`;

/** Puts this process, and with it whatever it starts from now on, into the group. */
export const joinServiceGroup = (instance: string, layout: CgroupLayout = detectLayout()): void => {
  const [cpu, memory] = [layout.v1.get('cpu'), layout.v1.get('memory')];
  if (cpu !== undefined) enter(cpu, instance, { 'cpu.shares': shares });
  if (memory !== undefined) return enter(memory, instance, { 'memory.swappiness': lastToSwap });
  if (layout.unified === null) return;
  const offered = readText(layout.unified, 'cgroup.controllers').split(' ');
  for (const controller of ['cpu', 'memory']) if (offered.includes(controller)) write(layout.unified, 'cgroup.subtree_control', `+${controller}`);
  enter(layout.unified, instance, { 'cpu.weight': serviceWeight, 'memory.min': protectedBytes });
};

const enter = (tree: string, instance: string, settings: Record<string, number>): void => {
  const group = join(tree, serviceGroup(instance));
  makeGroup(group);
  for (const [file, value] of Object.entries(settings)) write(group, file, value);
  writeFileSync(join(group, 'cgroup.procs'), String(process.pid));
};
