/**
 * What an instance may have on the host when its agent is not there to take it away: processes, groups, links and tables, mounts,
 * the pool. Every part is tried whatever became of the others; problems are told and counted.
 */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { removeGroup } from '../host/cgroup/files.ts';
import { detectLayout, treesOf } from '../host/cgroup/layout.ts';
import { parentPaths } from '../host/cgroup/parent.ts';
import { openNetwork } from '../host/network/open.ts';
import { destroyStorage } from '../host/storage/open.ts';
import type { AllottedInstance } from '../host/allotment/allotment.ts';
import { runDirectoryOf } from '../model/instance.ts';
import { unmount, unmountFlags } from '../sys/mount.ts';
import { readMounts } from './host-view.ts';
import { serviceGroup } from './service-group.ts';

const idleRounds = 50;
const pollMs = 100;

export const removeLeftovers = async (entry: Pick<AllottedInstance, 'instance' | 'number' | 'root' | 'subnet'>, logger: Logger): Promise<string[]> => {
  const problems: string[] = [];
  const runDirectory = runDirectoryOf(entry.instance);
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

/** In every hierarchy: the runtime makes groups also in those without a controller (name=systemd), which nothing else looks at. */
export const removeGroups = async (instance: string): Promise<void> => {
  const groups = treesOf(detectLayout()).flatMap((tree) => parentsOf(instance).map((path) => `${tree}${path}`));
  // The last process has ended, but may not have left its group yet.
  const left = await dwindle(() => groups.filter((path) => !removeGroup(path)));
  if (left.length > 0) throw new Error(`${left.join(', ')} cannot be removed`);
};

/** Of machines and monitors, and of supervised services. Units themselves are gone by now. */
const parentsOf = (instance: string): string[] => [...parentPaths(instance), serviceGroup(instance)];

/** Whether a process of `/proc/PID/cgroup`'s text is a machine's, a service's or a monitor's of this instance. */
export const belongsTo = (instance: string, cgroupText: string): boolean =>
  cgroupText.split('\n').some((line) => {
    const path = `${line.split(':').slice(2).join(':')}/`;
    return parentsOf(instance).some((parent) => path.includes(`${parent}/`));
  });

const killProcesses = async (instance: string): Promise<void> => {
  const left = await dwindle(() => {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && belongsTo(instance, cgroupOf(name)));
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // it ended in between
      }
    }
    return pids;
  });
  if (left.length > 0) throw new Error(`${left.length} processes do not end`);
};

/** What is left of what `remaining` tells. As long as something goes the rest may too: a thousand machines on a busy host take their time. */
const dwindle = async <Thing>(remaining: () => Thing[]): Promise<Thing[]> => {
  let fewest = Infinity;
  for (let idle = 0; ; idle += 1) {
    const left = remaining();
    if (left.length === 0 || idle >= idleRounds) return left;
    if (left.length < fewest) [fewest, idle] = [left.length, 0];
    await sleep(pollMs);
  }
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
