/**
 * What an instance may have on the host when its agent is not there to take it away: processes, groups, links and tables, mounts,
 * the pool. Every part is tried whatever became of the others; problems are told and counted.
 */
import { existsSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { openCgroups } from '../host/cgroup/open.ts';
import { openNetwork } from '../host/network/open.ts';
import { destroyStorage } from '../host/storage/open.ts';
import type { AllottedInstance } from '../host/allotment/allotment.ts';
import { unmount, unmountFlags } from '../sys/mount.ts';
import { readMounts } from './host-view.ts';
import { serviceGroup } from './service-group.ts';

const killRounds = 50;
const killPollMs = 100;

/** The group that machines of an instance live in. */
export const cgroupParent = (instance: string): string => `/cenote-${instance}`;

export const removeLeftovers = async (entry: Pick<AllottedInstance, 'instance' | 'number' | 'root' | 'subnet'>, logger: Logger): Promise<string[]> => {
  const problems: string[] = [];
  // The agent's, on a file system that a reboot empties.
  const runDirectory = `/run/cenote-${entry.instance}`;
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(`${what}: ${messageOf(error)}`);
    }
  };
  await attempt('processes', () => killProcesses(entry.instance));
  await attempt('control groups', () => removeGroups(entry.instance));
  await attempt('network', async () => {
    const network = await openNetwork({ instance: entry.instance, instanceNumber: entry.number, subnet: entry.subnet, logger });
    await network.close({ remove: true });
  });
  await attempt('mounts', () => Promise.resolve(unmountBelow(runDirectory, null)));
  await attempt('run directory', () => Promise.resolve(rmSync(runDirectory, { recursive: true, force: true })));
  await attempt('mounts', () => Promise.resolve(unmountBelow(entry.root, `${entry.root}/storage`)));
  await attempt('storage', () => destroyStorage({ root: entry.root, logger }));
  await attempt('mounts', () => Promise.resolve(unmountBelow(entry.root, null)));
  return problems;
};

const removeGroups = async (instance: string): Promise<void> => {
  const cgroups = openCgroups({ parent: cgroupParent(instance), poolMib: 1024 * 1024, poolCpuMillis: 1_000_000, disk: null });
  for (const machine of await cgroups.list()) await cgroups.remove(machine);
  await cgroups.close({ remove: true });
  // The runtime also makes groups in hierarchies without a controller (name=systemd), which nothing else looks at.
  for (const { path, type } of readMounts())
    if (type === 'cgroup' || type === 'cgroup2') for (const group of [cgroupParent(instance), serviceGroup(instance)]) removeEmptyGroups(`${path}${group}`);
};

const removeEmptyGroups = (path: string): void => {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeEmptyGroups(`${path}/${entry.name}`);
  rmdirSync(path);
};

/** Whether a process of `/proc/PID/cgroup`'s text is a machine's, a service's or a monitor's of this instance. */
export const belongsTo = (instance: string, cgroupText: string): boolean => {
  const parent = cgroupParent(instance);
  return cgroupText.split('\n').some((line) => {
    const path = line.split(':').slice(2).join(':');
    return path.includes(`${parent}/`) || path.endsWith(parent) || path.endsWith(serviceGroup(instance));
  });
};

const killProcesses = async (instance: string): Promise<void> => {
  for (let round = 0; round < killRounds; round += 1) {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && belongsTo(instance, cgroupOf(name)));
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // it ended in between
      }
    }
    await sleep(killPollMs);
  }
  throw new Error('some processes do not end');
};

const cgroupOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
};

/** The last mounted first. What lies below `except` is left to who knows how to close it. */
const unmountBelow = (root: string, except: string | null): void => {
  for (const { path } of readMounts().toReversed())
    if ((path === root || path.startsWith(`${root}/`)) && !(except !== null && path.startsWith(`${except}/`)))
      unmount(path, unmountFlags.detach | unmountFlags.noFollow);
};
