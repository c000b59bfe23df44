/** The same idle program on the same kind of root in Docker, Podman, LXC and here, within one run. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { mib, ms, rate, times } from '../lib/format.ts';
import { demand, smallResources } from '../lib/instance.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { installPackages } from '../lib/packages.ts';
import { measurePeer } from '../peers/measure.ts';
import type { PeerCounts, PeerFigures } from '../peers/measure.ts';
import { idleCommand, startMemoryMib } from '../peers/peer.ts';
import type { Peer } from '../peers/peer.ts';
import type { Row, Suite } from '../lib/suite.ts';

const packages = ['docker.io', 'podman', 'lxc', 'busybox-static'];
const timeoutMs = 60 * 60_000;

interface Skipped {
  name: string;
  skipped: string;
}

export const peersSuite: Suite = {
  name: 'peers',
  title: 'Beside Docker, Podman and LXC',
  method:
    'One static program (busybox sleep) on a root that holds little else, in each engine as Debian packages it, each with a network of its own, an overlay root and a memory limit. ' +
    'Started one after another and 8 at once until the engine says that it runs; given another memory limit while it runs; removed at once. Cenote and Docker also through their APIs. ' +
    'Memory: what the host has available before and after so many idle ones, with its caches dropped, less the PSS of the programs themselves, for each.',
  run: async (bench) => {
    await installPackages(bench, packages);
    const counts: PeerCounts = { serial: bench.count(40, 4), together: bench.count(64, 8), idle: bench.count(50, 8) };
    const instance = await bench.instance();
    const ours = [await measurePeer(throughApi(instance), counts), await measurePeer(throughCommand(instance), counts)];
    const theirs = await measureTheirs(counts);
    const skipped = theirs.filter((one): one is Skipped => 'skipped' in one);
    for (const { name, skipped: why } of skipped) bench.note(`skipped ${name}: ${why}`);
    const measured = [...ours, ...theirs.filter((one): one is PeerFigures => !('skipped' in one))];
    const rows: Row[] = [
      ...measured.map((one) => rowOf(one, ours[0]!)),
      ...skipped.map(({ name, skipped: why }) => ({ what: name, value: `could not run here: ${why.slice(0, 200)}` })),
    ];
    return { rows, data: { counts, measured, skipped } };
  },
};

const rowOf = (one: PeerFigures, ours: PeerFigures): Row => ({
  what: `${one.name} (${one.version})`,
  value: [
    `start p50 ${ms(one.start.p50)}, p99 ${ms(one.start.p99)}`,
    `8 at once ${rate(one.startPerSecondAt8)}`,
    `update ${ms(one.update.p50)}`,
    `remove ${ms(one.remove.p50)}, 8 at once ${rate(one.removePerSecondAt8)}`,
    `idle ${mib(one.idleMib)}`,
  ].join('; '),
  against:
    one === ours
      ? 'the measure'
      : `start ${times(one.start.p50 / ours.start.p50)}, 8 at once ${times(one.startPerSecondAt8 / ours.startPerSecondAt8)}, memory ${times(one.idleMib / ours.idleMib)}`,
});

const throughApi = ({ client, create, remove }: BenchInstance): Peer => {
  const ids = new Map<string, string>();
  return {
    name: 'Cenote (API)',
    version: 'this',
    start: async (name) => {
      const machine = await create({ name, command: [...idleCommand], resources: { ...smallResources, memoryCeilingMib: startMemoryMib } });
      ids.set(name, machine.id);
    },
    update: async (name, memoryMib) => void demand(await client.machineResize(ids.get(name)!, { resources: { memoryCeilingMib: memoryMib } }, { wait: 60 })),
    remove: (name) => remove(ids.get(name)!),
    [Symbol.asyncDispose]: async () => {},
  };
};

const throughCommand = ({ host }: BenchInstance): Peer => ({
  name: 'Cenote (command)',
  version: 'this',
  start: async (name) =>
    void (await host.must(
      'create',
      name,
      '--no-watch',
      '--cpu',
      '0.001',
      '--memory',
      '4M',
      '--memory-ceiling',
      `${startMemoryMib}M`,
      '--disk',
      '16M',
      '--',
      ...idleCommand,
    )),
  update: async (name, memoryMib) => void (await host.must('resize', name, '--memory-ceiling', `${memoryMib}M`)),
  remove: async (name) => void (await host.must('delete', name)),
  [Symbol.asyncDispose]: async () => {},
});

const measureTheirs = async (counts: PeerCounts): Promise<(PeerFigures | Skipped)[]> => {
  const directory = mkdtempSync(join(tmpdir(), 'bench-peers-'));
  try {
    const program = resolve(import.meta.dirname, '../peers.ts');
    const output = await run('unshare', ['--mount', '--net', '--propagation', 'private', '--', process.execPath, program, directory, JSON.stringify(counts)], {
      timeoutMs,
    });
    return output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PeerFigures | Skipped);
  } finally {
    // Engines leave subvolumes and files made unchangeable; rm tells what it could not remove.
    await run('rm', ['--recursive', '--force', '--one-file-system', directory], { timeoutMs });
  }
};
