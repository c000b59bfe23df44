/** Machines made and deleted again and again, several at once: what the host and both processes hold must not grow with the number of cycles. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAny } from '../../src/exec/run.ts';
import { eachAtMost } from '../../src/setup/each-at-most.ts';
import type { OwnServices } from '../support/own-services.ts';
import type { TestInstance } from '../support/instance.ts';

export interface CycleRun {
  cycles: number;
  /** A row of the table after so many. */
  rowEvery?: number | undefined;
  note: (text: string) => void;
  signal?: AbortSignal | undefined;
  /** Wraps the cycles of each row; for who has to share the host with others. */
  inTurn?: ((work: () => Promise<void>) => Promise<void>) | undefined;
}

const atOnce = 8;
/** Caches and pools are full after so many, and the C library has what it needs for as many at once. */
const warmUp = 200;
/** A process or a descriptor that is just coming or going. */
const countSlack = 8;
/** Kept for a month, or up to a number: they may grow. */
const growing = new Set(['journal KiB', 'store KiB']);
/** What is left after all garbage was collected: of objects, and of memory in all, with the holes in it. */
const slackMib: Readonly<Record<string, number>> = { 'heap MiB': 4, 'RSS MiB': 24 };
const memoryReport = { NODE_OPTIONS: `--import=${resolve(import.meta.dirname, '../support/memory-report.mjs')}` };

/** One a second. */
const mostLooks = 120;

type Holdings = Record<string, number>;

/** Starts both services, and throws when something grew. */
export const runCycles = async (instance: TestInstance, services: OwnServices, options: CycleRun): Promise<void> => {
  const { cycles, note, inTurn = (work) => work() } = options;
  const rowEvery = options.rowEvery ?? cycles;
  await services.startBoth(memoryReport);
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
  let done = 0;
  const grown = (before: Holdings, now: Holdings): string[] =>
    Object.entries(now)
      .filter(([name, value]) => value > before[name]! + slackOf(name, cycles))
      .map(([name, value]) => `${name} grew from ${before[name]} to ${value} in ${cycles} cycles`);
  const row = async (count: number, before?: Holdings): Promise<Holdings> => {
    let perSecond = 0;
    await inTurn(async () => {
      const begun = performance.now();
      await eachAtMost(
        atOnce,
        Array.from({ length: count }, (_, index) => done + index),
        cycle,
      );
      perSecond = count / ((performance.now() - begun) / 1000);
    });
    done += count;
    const now = await settled(instance, services, (seen) => before === undefined || grown(before, seen).length === 0);
    if (done === count) for (const head of headOf(now)) note(head);
    note(tableRow([done, ...Object.values(now), perSecond.toFixed(1)]));
    return now;
  };
  const before = await row(warmUp);
  let after = before;
  while (done < warmUp + cycles) after = await row(Math.min(rowEvery, warmUp + cycles - done), before);
  assert.deepEqual(grown(before, after), []);
};

const slackOf = (name: string, cycles: number): number => {
  const memory = Object.entries(slackMib).find(([ending]) => name.endsWith(ending));
  return memory !== undefined ? memory[1] : name.startsWith('host') ? cycles / 2 + countSlack : growing.has(name) ? Infinity : countSlack;
};

const tableRow = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const headOf = (holdings: Holdings): string[] => {
  const names = ['cycles', ...Object.keys(holdings), 'a second'];
  return [tableRow(names), tableRow(names.map(() => '---'))];
};
/** The sandbox pool fills up again, and deleted subvolumes are cleaned up, in the background: the least of several looks, or of more until it is enough. */
const settled = async (instance: TestInstance, services: OwnServices, isEnough: (now: Holdings) => boolean): Promise<Holdings> => {
  const heaps = { 'agent heap MiB': await heapMib(services, 'agent'), 'control heap MiB': await heapMib(services, 'control') };
  let least = await holdings(instance, services);
  for (let look = 0; look < 10 || (look < mostLooks && !isEnough(least)); look += 1) {
    await sleep(1000);
    const now = await holdings(instance, services);
    least = Object.fromEntries(Object.entries(now).map(([name, value]) => [name, Math.min(value, least[name]!)]));
  }
  return { ...heaps, ...least };
};

/** What is in use after a collection, which lets go of the rest. */
const heapMib = async (services: OwnServices, name: 'agent' | 'control'): Promise<number> => {
  const log = join(services.paths.log, `${name}.log`);
  const reports = () => [...readFileSync(log, 'utf8').matchAll(/^memory: (.*)$/gm)].map(([, text]) => text!);
  const before = reports().length;
  process.kill(services.pidOf(name), 'SIGWINCH');
  for (const deadline = Date.now() + 30_000; reports().length === before; await sleep(50))
    if (Date.now() > deadline) throw new Error(`${name} does not report its memory`);
  return Math.round((JSON.parse(reports().at(-1)!) as { heapUsed: number }).heapUsed / 2 ** 20);
};

const holdings = async (instance: TestInstance, services: OwnServices): Promise<Holdings> => {
  const pool = join(instance.root, 'storage/pool');
  const [agentPid, controlPid] = [services.pidOf('agent'), services.pidOf('control')];
  const run = `/run/cenote-${instance.instance}`;
  const lines = async (program: string, args: string[], which = '') =>
    (await runAny(program, args)).stdout.split('\n').filter((line) => line !== '' && line.includes(which)).length;
  return {
    'agent RSS MiB': residentMib(agentPid),
    'control RSS MiB': residentMib(controlPid),
    'agent files': readdirSync(`/proc/${agentPid}/fd`).length,
    'control files': readdirSync(`/proc/${controlPid}/fd`).length,
    'agent threads': readdirSync(`/proc/${agentPid}/task`).length,
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => [run, instance.root].some((path) => line.split(' ')[4]?.startsWith(path))).length,
    links: await lines('ip', ['-o', 'link'], ` cn${services.config.number}v`),
    'rule elements': (await runAny('nft', ['list', 'table', 'inet', `cenote-${instance.instance}`])).stdout.split('"cn').length,
    groups: groupsBelow(instance.instance),
    'host memory groups': hostGroups('memory'),
    subvolumes: await lines('btrfs', ['subvolume', 'list', pool]),
    'quota groups': await lines('btrfs', ['qgroup', 'show', pool]),
    'run files': readdirSync(run, { recursive: true }).length,
    'log files': readdirSync(join(services.paths.agent, 'logs'), { recursive: true }).length,
    'journal KiB': sizeKib(services.paths.agent, 'journal.db'),
    'store KiB': sizeKib(services.paths.control, 'store.sqlite'),
  };
};

const residentMib = (pid: number): number => Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);

/** With those that are removed but not yet let go by the kernel; of all instances, and of whoever else has some. */
const hostGroups = (controller: string): number =>
  Number(new RegExp(`^${controller}\\s+\\d+\\s+(\\d+)`, 'm').exec(readFileSync('/proc/cgroups', 'utf8'))?.[1] ?? 0);

/** A database and its log. */
const sizeKib = (directory: string, name: string): number =>
  Math.round(
    readdirSync(directory)
      .filter((file) => file === name || file === `${name}-wal`)
      .reduce((sum, file) => sum + statSync(join(directory, file)).size, 0) / 1024,
  );

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
