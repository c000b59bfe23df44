/** What the pool promises: all of an idle host, one's share of a busy one, at once when one wakes, and borrowed memory back when it is claimed. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { existsSync, readFileSync } from 'node:fs';
import { run } from '../../src/exec/run.ts';
import { detectLayout } from '../../src/host/cgroup/layout.ts';
import { parentPaths } from '../../src/host/cgroup/parent.ts';
import { ControlClient } from '../../src/client/control.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { PoolWorld, poolMib } from '../../test/host/pool-trials.ts';
import { startInstance } from '../../test/support/instance.ts';
import { calibrate, spin, wake } from '../lib/cpu-load.ts';
import { takeAll } from '../lib/memory-load.ts';
import { metOrNot, ms, p50p99, times } from '../lib/format.ts';
import { perl, perlInside } from '../lib/instance.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { summarise } from '../lib/statistics.ts';
import type { Bench, Row, Suite } from '../lib/suite.ts';
import { expectedShares } from '../lib/expected-shares.ts';

const idle = ['/bin/sleep', '1000000'];
const cpus = availableParallelism();
const timeoutMs = 120_000;

export const poolSuite: Suite = {
  name: 'pool',
  title: 'The pool: borrowing and giving back',
  method:
    'CPU: the same Perl loops inside and on the bare host, in turns; shares from the kernel’s own counters over the whole time, against what the runnable threads of each can use (no more than a core each). ' +
    'Waking: a machine of half a core (a tenth with --small) sleeps for 10 to 30 ms and then works for 1 ms, while neighbours with as many threads as 32 a core want everything; the time is from when it was due. ' +
    'Memory: one process takes what it can get, which cannot be compressed. An instance of 1 GiB; one machine of 64M holds 640M that cannot be compressed, three neighbours then claim all of their 480M at once; in turns with the same claims where nobody has borrowed.',
  run: async (bench) => {
    const instance = await bench.instance();
    const idleHost = await busyOnIdle(bench, instance);
    const shares = [await shareError(bench, instance, [2, 2, 2]), await shareError(bench, instance, [1, 2, 64])];
    const waking = await wakeTimes(bench, instance);
    const own = await memoryTaken(bench, instance);
    const claims = await claimTimes(bench);
    const rows: Row[] = [
      {
        what: `one busy machine of 0.02 cores on an idle host, ${cpus} threads`,
        value: `${(idleHost.ratio * 100).toFixed(1)} % of the bare host`,
        note: metOrNot(idleHost.ratio >= 0.98, '>= 98 %'),
      },
      ...shares.map(({ threads, error, got }): Row => ({
        what: `guarantees 1:2:4, all busy, ${threads.join(', ')} threads`,
        value: `${(error * 100).toFixed(1)} % off at most`,
        against: got.map((part) => `${(part * 100).toFixed(1)} %`).join(', '),
        note: metOrNot(error <= (threads.includes(64) ? 0.06 : 0.03), threads.includes(64) ? '<= 6 %' : '<= 3 %'),
      })),
      { what: 'a millisecond’s work on waking, alone', value: p50p99(waking.alone) },
      {
        what: 'the same under full load of neighbours',
        value: p50p99(waking.loaded),
        against: times(waking.loaded.p99 / waking.alone.p99),
        note: `${metOrNot(waking.loaded.p99 <= 4 * waking.alone.p99, '<= 4 times')}; ${metOrNot(waking.loaded.p99 - 1 <= 20, 'has its CPU within 20 ms at p99')}`,
      },
      {
        what: `memory that one process of a machine of 4 MiB takes, with a ceiling of ${own.ceilingMib} MiB`,
        value: `${own.takenMib} MiB, then it is killed`,
        against: `${((own.takenMib / own.ceilingMib) * 100).toFixed(1)} % of the ceiling`,
        note: metOrNot(own.takenMib >= 0.98 * own.ceilingMib, '>= 98 %'),
      },
      { what: 'all guarantees claimed at once, nobody has borrowed', value: p50p99(claims.alone), against: `longest ${ms(claims.alone.max)}` },
      {
        what: 'the same, neighbours of a borrower at ten times its guarantee',
        value: p50p99(claims.times),
        against: `longest ${ms(claims.times.max)}; ${times(claims.times.p50 / claims.alone.p50)} of alone`,
        note: `${metOrNot(claims.times.max <= 1000, '<= 1 s')}; ${claims.killed} killed, ${claims.swappedMib.toFixed(1)} MiB of the neighbours' own swapped`,
      },
    ];
    return { rows, data: { idleHost, shares, waking, own, claims } };
  },
};

const bare = async (script: string, ...args: number[]): Promise<string> => (await run(perl, ['-e', script, ...args.map(String)], { timeoutMs })).trim();

const busyOnIdle = async (bench: Bench, instance: BenchInstance): Promise<{ ratio: number; inside: number[]; bare: number[] }> => {
  const machine = await instance.create({ name: 'pool-busy', command: idle, resources: { cpuMillis: 20 } });
  const seconds = bench.count(5, 2);
  const measured = { inside: [] as number[], bare: [] as number[] };
  for (let round = 0; round < bench.count(4, 2); round += 1) {
    measured.inside.push(Number(await perlInside(instance, 'pool-busy', spin, cpus, seconds)));
    measured.bare.push(Number(await bare(spin, cpus, seconds)));
  }
  await instance.remove(machine.id);
  return { ratio: summarise(measured.inside).p50 / summarise(measured.bare).p50, ...measured };
};

const cpuSecondsOf = (instance: string, machine: string): number => {
  const { v1, unified } = detectLayout();
  const accounting = v1.get('cpuacct');
  const tree = accounting ?? unified ?? '';
  const group = parentPaths(instance)
    .map((path) => join(tree, path, machine))
    .find((path) => existsSync(path))!;
  if (accounting !== undefined) return Number(readFileSync(join(group, 'cpuacct.usage'), 'utf8')) / 1e9;
  return Number(/^usage_usec (\d+)/m.exec(readFileSync(join(group, 'cpu.stat'), 'utf8'))?.[1]) / 1e6;
};

const shareError = async (
  bench: Bench,
  instance: BenchInstance,
  threads: readonly number[],
): Promise<{ threads: readonly number[]; error: number; got: number[] }> => {
  const weights = [1, 2, 4];
  const machines = await Promise.all(
    weights.map((weight, index) => instance.create({ name: `pool-share-${index}`, command: idle, resources: { cpuMillis: 20 * weight, processes: 128 } })),
  );
  const seconds = bench.count(10, 3);
  const read = () => machines.map(({ id }) => cpuSecondsOf(instance.host.instance, id));
  const running = Promise.all(machines.map(({ name }, index) => perlInside(instance, name, spin, threads[index]!, seconds + 3)));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const used = read().map((after, index) => after - before[index]!);
  await running;
  for (const { id } of machines) await instance.remove(id);
  const total = used.reduce((sum, one) => sum + one, 0);
  const got = used.map((one) => one / total);
  const expected = expectedShares(weights, threads, cpus);
  return { threads, got, error: Math.max(...got.map((part, index) => Math.abs(part - expected[index]!))) };
};

const wakeTimes = async (bench: Bench, instance: BenchInstance) => {
  const machine = await instance.create({ name: 'pool-wakes', command: idle, resources: { cpuMillis: bench.count(500, 100) } });
  const neighbours = await Promise.all(
    [0, 1].map((index) => instance.create({ name: `pool-load-${index}`, command: idle, resources: { cpuMillis: 20, processes: 256 } })),
  );
  const rounds = Number(await perlInside(instance, 'pool-wakes', calibrate));
  const requests = bench.count(500, 100);
  const measure = async () => summarise((await perlInside(instance, 'pool-wakes', wake, requests, 20, rounds)).split(',').map(Number));
  const alone = await measure();
  const seconds = Math.ceil((requests * 30) / 1000) + 3;
  const load = Promise.all(neighbours.map(({ name }) => perlInside(instance, name, spin, 16 * cpus, seconds)));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const loaded = await measure();
  await load;
  for (const { id } of [machine, ...neighbours]) await instance.remove(id);
  return { alone, loaded, rounds };
};

/** Perl and its stack are of it too. */
const memoryTaken = async (bench: Bench, instance: BenchInstance): Promise<{ takenMib: number; ceilingMib: number }> => {
  const ceilingMib = bench.count(1024, 256);
  const machine = await instance.create({ name: 'pool-memory', command: idle, resources: { memoryCeilingMib: ceilingMib } });
  const { stdout } = await instance.host.cenote('exec', 'pool-memory', '--', perl, '-e', takeAll);
  await instance.remove(machine.id);
  return { takenMib: Number(stdout.trim().split('\n').at(-1)), ceilingMib };
};

const claimTimes = async (bench: Bench) => {
  await using instance = await startInstance({ poolSizeMib: 768, memoryMib: poolMib, note: bench.note });
  using control = new ControlClient(instancePaths(instance.root).controlSocket);
  const world = await PoolWorld.make(instance, control);
  const samples: number[] = [];
  const alone: number[] = [];
  let swappedMib = 0;
  let killed = 0;
  for (let round = 0; round < bench.count(20, 4); round += 1) {
    alone.push(await world.claimedAlone());
    await world.settled();
    const trial = await world.tenTimes();
    samples.push(trial.claimMs);
    swappedMib = Math.max(swappedMib, trial.swappedMib);
    killed = trial.borrowerKills;
    await world.settled();
  }
  return { times: summarise(samples), alone: summarise(alone), samples, swappedMib, killed };
};
