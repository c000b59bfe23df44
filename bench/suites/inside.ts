/** What it costs to run inside a machine: the same programs inside and outside, in turns. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { times } from '../lib/format.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { installPackages } from '../lib/packages.ts';
import { summarise } from '../lib/statistics.ts';
import type { Row, Suite } from '../lib/suite.ts';
import { barePair, throughput } from '../lib/throughput.ts';

interface Test {
  what: string;
  unit: string;
  /** Shell text, the same inside and outside; `$D` is a directory of its own. More is better. */
  script: string;
  read(output: string): number;
}

const seconds = 3;
const number =
  (pattern: RegExp) =>
  (output: string): number => {
    const found = pattern.exec(output)?.[1];
    if (found === undefined) throw new Error(`no figure in: ${output.slice(-300)}`);
    return Number(found);
  };

const fio = (options: string): string => `fio --name=t --directory="$D" --size=64M --runtime=${seconds} --time_based --output-format=json ${options}`;
const fioRate =
  (kind: 'read' | 'write') =>
  (output: string): number => {
    const report = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: Record<'read' | 'write', { iops: number }>[] };
    return report.jobs[0]![kind].iops;
  };

const tests: readonly Test[] = [
  { what: 'CPU, one thread (sysbench cpu)', unit: 'events/s', script: `sysbench cpu --time=${seconds} run`, read: number(/events per second:\s+([\d.]+)/) },
  { what: 'CPU, two threads', unit: 'events/s', script: `sysbench cpu --threads=2 --time=${seconds} run`, read: number(/events per second:\s+([\d.]+)/) },
  {
    what: 'memory, 1 MiB blocks (sysbench memory)',
    unit: 'MiB/s',
    script: `sysbench memory --memory-block-size=1M --memory-total-size=100T --time=${seconds} run`,
    read: number(/\(([\d.]+) MiB\/sec\)/),
  },
  {
    what: 'system calls (dd, one byte each)',
    unit: 'calls/s',
    script: 'dd if=/dev/zero of=/dev/null bs=1 count=2000000 2>&1',
    read: (output) => 4_000_000 / number(/copied, ([\d.]+) s/)(output),
  },
  {
    what: 'processes (fork, exec, wait of true)',
    unit: 'a second',
    script: `timeout ${seconds} sh -c 'i=0; trap "echo done \\$i; exit" TERM; while :; do /bin/true; i=$((i+1)); done'; :`,
    read: (output) => number(/done (\d+)/)(output) / seconds,
  },
  {
    what: 'file reads, 4 KiB, random, cached (fio)',
    unit: 'a second',
    script: fio('--rw=randread --bs=4k --ioengine=psync --invalidate=0'),
    read: fioRate('read'),
  },
  { what: 'file writes, 4 KiB, random, buffered', unit: 'a second', script: fio('--rw=randwrite --bs=4k --ioengine=psync'), read: fioRate('write') },
  { what: 'file writes, 4 KiB, each synced', unit: 'a second', script: fio('--rw=randwrite --bs=4k --ioengine=psync --fdatasync=1'), read: fioRate('write') },
  {
    what: 'files made and removed',
    unit: 'a second',
    script: `timeout ${seconds} sh -c 'i=0; trap "echo done \\$i; exit" TERM; while :; do : > "$D/f$i"; rm "$D/f$i"; i=$((i+1)); done'; :`,
    read: (output) => number(/done (\d+)/)(output) / seconds,
  },
];

export const insideSuite: Suite = {
  name: 'inside',
  title: 'Inside a machine',
  method:
    'The same programs inside a machine of image `base` and on the bare host, in turns. Files: in the machine on its volume (overlay on btrfs in a file); outside once in a directory of the same ' +
    'pool and once on the file system that the pool’s file is on. Network: iperf3, one stream, between a machine and the host, between two machines, and over a bare veth pair.',
  run: async (bench) => {
    await installPackages(bench, ['sysbench', 'fio', 'iperf3']);
    const instance = await bench.instance();
    const rounds = bench.count(5, 1);
    const resources = { cpuMillis: 50, memoryMib: 256, diskMib: 1024 };
    const machine = await instance.create({ name: 'inside-one', resources });
    const pool = join(instance.host.root, 'storage/pool/bench');
    const disk = join(instance.host.directory, 'bench');
    for (const directory of [pool, disk]) mkdirSync(directory, { recursive: true });
    const rows: Row[] = [];
    const data: Record<string, unknown> = {};
    try {
      for (const test of tests) {
        const onFiles = test.script.includes('$D');
        const places: Record<string, () => Promise<string>> = {
          inside: () => instance.host.must('exec', machine.name, '--', 'sh', '-c', `export D=/srv; ${test.script}`),
          outside: () => outside(test.script, disk),
          ...(onFiles ? { pool: () => outside(test.script, pool) } : {}),
        };
        const found: Record<string, number[]> = Object.fromEntries(Object.keys(places).map((place) => [place, []]));
        for (let round = 0; round < rounds; round += 1) for (const [place, measure] of Object.entries(places)) found[place]!.push(test.read(await measure()));
        const middle = Object.fromEntries(Object.entries(found).map(([place, values]) => [place, summarise(values).p50]));
        bench.note(`${test.what}: ${JSON.stringify(middle)}`);
        data[test.what] = found;
        rows.push({
          what: test.what,
          value: `${count(middle['inside']!)} ${test.unit}`,
          against: [`host ${count(middle['outside']!)}`, ...(onFiles ? [`host, same pool ${count(middle['pool']!)}`] : [])].join(', '),
          note: [
            `${times(middle['inside']! / middle['outside']!)} of the host`,
            ...(onFiles ? [`${times(middle['inside']! / middle['pool']!)} of the pool`] : []),
          ].join(', '),
        });
      }
      const network = await networkRates(instance, rounds);
      data['network'] = network;
      const [pair, toHost, toMachine] = [network.pair, network.toHost, network.toMachine].map((values) => summarise(values).p50);
      const gigabits = (value: number) => `${value.toFixed(1)} Gbit/s`;
      rows.push({
        what: 'network, machine to host',
        value: gigabits(toHost!),
        against: `bare veth pair ${gigabits(pair!)}`,
        note: `${times(toHost! / pair!)} of the pair`,
      });
      rows.push({
        what: 'network, machine to machine',
        value: gigabits(toMachine!),
        against: `bare veth pair ${gigabits(pair!)}`,
        note: `${times(toMachine! / pair!)} of the pair`,
      });
    } finally {
      for (const directory of [pool, disk]) rmSync(directory, { recursive: true, force: true });
      await instance.remove(machine.id);
    }
    return { rows, data };
  },
};

const count = (value: number): string => Math.round(value).toLocaleString('en').replaceAll(',', ' ');

const outside = (script: string, directory: string): Promise<string> =>
  run('/bin/sh', ['-c', script], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', D: directory },
    timeoutMs: 120_000,
  });

/** Gbit/s. Machines may not open connections to the host, so the host opens the one on which a machine sends to it. */
const networkRates = async (instance: BenchInstance, rounds: number) => {
  const rates = { pair: [] as number[], toHost: [] as number[], toMachine: [] as number[] };
  const server = await instance.create({ name: 'inside-two', command: ['/usr/bin/iperf3', '--server'] });
  await using pair = await barePair();
  const inMachine = (...words: string[]) => instance.host.must('exec', 'inside-one', '--', ...words);
  try {
    for (let round = 0; round < rounds; round += 1) {
      rates.pair.push(await throughput((...words) => run('iperf3', [...words, '--reverse'], { timeoutMs: 60_000 }), pair.address, 5201, seconds));
      rates.toHost.push(await throughput((...words) => run('iperf3', [...words, '--reverse'], { timeoutMs: 60_000 }), server.address, 5201, seconds));
      rates.toMachine.push(await throughput((...words) => inMachine('iperf3', ...words), server.address, 5201, seconds));
    }
  } finally {
    await instance.remove(server.id);
  }
  return rates;
};
