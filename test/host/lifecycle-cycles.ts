/** Machines made and deleted again and again: what the host and both processes hold must not grow with the number of cycles. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAny } from '../../src/exec/run.ts';
import { eachAtMost } from '../../src/setup/each-at-most.ts';
import type { OwnServices } from '../support/own-services.ts';
import type { TestInstance } from '../support/instance.ts';

export interface CycleRun {
  cycles: number;
  note: (text: string) => void;
  signal?: AbortSignal | undefined;
}

const atOnce = 4;
/** Caches and pools are full after so many. */
const warmUp = 100;
/** Of the agent and of the control plane, in MiB: a heap that is not collected at the same moment twice. */
const memorySlackMib = 48;
/** A process or a descriptor that is just coming or going. */
const countSlack = 8;

interface Holdings {
  agentMib: number;
  controlMib: number;
  agentFiles: number;
  controlFiles: number;
  mounts: number;
  links: number;
  groups: number;
  subvolumes: number;
  quotaGroups: number;
  runFiles: number;
  logFiles: number;
}

/** Throws when something grew; gives what was held before and after. */
export const runCycles = async (instance: TestInstance, services: OwnServices, options: CycleRun): Promise<{ before: Holdings; after: Holdings }> => {
  const cycle = async (number: number): Promise<void> => {
    options.signal?.throwIfAborted();
    const { job, machine } = await services.control.machineCreate(
      { name: `cycle-${number}`, command: ['/bin/sleep', '1000'], resources: { diskMib: 128, memoryMib: 16, cpuMillis: 10 } },
      { wait: 60 },
    );
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    const deleted = await services.control.machineDelete(machine!.id, { wait: 60 });
    assert.equal(deleted.job.state, 'succeeded', deleted.job.reason ?? '');
  };
  const several = (from: number, count: number) =>
    eachAtMost(
      atOnce,
      Array.from({ length: count }, (_, index) => from + index),
      cycle,
    );
  await several(0, Math.min(warmUp, options.cycles));
  const before = await settled(instance, services);
  options.note(`after ${warmUp}: ${JSON.stringify(before)}`);
  const begun = performance.now();
  await several(warmUp, options.cycles);
  const seconds = (performance.now() - begun) / 1000;
  const after = await settled(instance, services);
  options.note(`after ${warmUp + options.cycles}: ${JSON.stringify(after)}; ${(options.cycles / seconds).toFixed(1)} cycles a second`);
  for (const [name, value] of Object.entries(after) as [keyof Holdings, number][])
    assert.ok(
      value <= before[name] + (name.endsWith('Mib') ? memorySlackMib : countSlack),
      `${name} grew from ${before[name]} to ${value} in ${options.cycles} cycles`,
    );
  return { before, after };
};

/** The sandbox pool fills up again, and deleted subvolumes are cleaned up, in the background: the least of several looks. */
const settled = async (instance: TestInstance, services: OwnServices): Promise<Holdings> => {
  let least = await holdings(instance, services);
  for (let look = 0; look < 10; look += 1) {
    await sleep(1000);
    const now = await holdings(instance, services);
    least = Object.fromEntries(Object.entries(now).map(([name, value]) => [name, Math.min(value, least[name as keyof Holdings])])) as unknown as Holdings;
  }
  return least;
};

const holdings = async (instance: TestInstance, services: OwnServices): Promise<Holdings> => {
  const pool = join(instance.root, 'storage/pool');
  const [agentPid, controlPid] = [services.pidOf('agent'), services.pidOf('control')];
  const run = `/run/cenote-${instance.instance}`;
  const lines = async (program: string, args: string[]) => (await runAny(program, args)).stdout.split('\n').length;
  return {
    agentMib: residentMib(agentPid),
    controlMib: residentMib(controlPid),
    agentFiles: readdirSync(`/proc/${agentPid}/fd`).length,
    controlFiles: readdirSync(`/proc/${controlPid}/fd`).length,
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(run) || line.includes(instance.root)).length,
    links: (await runAny('ip', ['-o', 'link'])).stdout.split('\n').filter((line) => line.includes(` cn${services.config.number}`)).length,
    groups: groupsBelow(instance.instance),
    subvolumes: await lines('btrfs', ['subvolume', 'list', pool]),
    quotaGroups: await lines('btrfs', ['qgroup', 'show', pool]),
    runFiles: readdirSync(run, { recursive: true }).length,
    logFiles: readdirSync(join(services.paths.agent, 'logs'), { recursive: true }).length,
  };
};

const residentMib = (pid: number): number => Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);

const groupsBelow = (instance: string): number =>
  readdirSync('/sys/fs/cgroup', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => (name === `cenote-${instance}` ? [`/sys/fs/cgroup/${name}`] : [`/sys/fs/cgroup/${name}/cenote-${instance}`]))
    .reduce((sum, path) => sum + directoriesIn(path), 0);

const directoriesIn = (path: string): number => {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
  } catch {
    return 0;
  }
};
