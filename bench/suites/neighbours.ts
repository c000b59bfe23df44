/** Two thousand machines on one network: what goes between two of them, beside what goes when they are alone. */
import { join } from 'node:path';
import { run } from '../../src/exec/run.ts';
import { metOrNot, ms, times } from '../lib/format.ts';
import { installPackages } from '../lib/packages.ts';
import type { Carried } from '../lib/path.ts';
import type { Row, Suite } from '../lib/suite.ts';
import type { Look } from '../neighbours/host-process.ts';

const program = join(import.meta.dirname, '../neighbours/host-process.ts');
const names: Readonly<Record<string, string>> = { external: 'the external network', fabric: 'a fabric network', six: 'one of IPv6' };
/** Runs of the same differ by so much on a host that does other things too. */
const least = 0.95;

export const neighboursSuite: Suite = {
  name: 'neighbours',
  title: 'Two thousand machines on one network',
  method:
    'The network driver alone, on a host in a namespace of its own: two machines on each of three networks, and then two thousand others that are on all three, with links, namespaces, routes and elements of the tables as every machine has them, and no process. ' +
    'Between the two, as in "Networks": measured alone, twice beside the others, and alone again when those have gone; the best of each.',
  run: async (bench) => {
    await installPackages(bench, ['iperf3']);
    const count = bench.count(2000, 20);
    const lines = await run(process.execPath, [program, String(count), String(bench.count(2, 1))], { timeoutMs: 280_000 });
    const looks = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Look);
    const [alone, beside] = [0, count].map((many) => best(looks.filter((one) => one.beside === many)));
    const connectMs = looks.find((one) => one.connectMs !== null)!.connectMs!;
    const rows = Object.keys(names).map((way): Row => rowOf(way, count, alone![way]!, beside![way]!));
    rows.push({ what: 'one of the others connected, with three NICs', value: `mean ${ms(connectMs)}` });
    return { rows, data: { count, looks } };
  },
};

const best = (looks: readonly Look[]): Record<string, Carried> =>
  Object.fromEntries(
    Object.keys(names).map((way) => {
      const all = looks.map(({ ways }) => ways[way]!);
      return [
        way,
        {
          gbps: Math.max(...all.map(({ gbps }) => gbps)),
          packetsPerSecond: Math.max(...all.map(({ packetsPerSecond }) => packetsPerSecond)),
          packetUs: Math.min(...all.map(({ packetUs }) => packetUs)),
          roundTripUs: Math.min(...all.map(({ roundTripUs }) => roundTripUs)),
        },
      ];
    }),
  );

const textOf = ({ gbps, packetsPerSecond, roundTripUs }: Carried): string =>
  `${gbps.toFixed(1)} Gbit/s, ${(packetsPerSecond / 1000).toFixed(0)},000 small packets a second, ${roundTripUs.toFixed(1)} µs there and back`;

const rowOf = (way: string, count: number, alone: Carried, beside: Carried): Row => {
  const [stream, packets] = [beside.gbps / alone.gbps, beside.packetsPerSecond / alone.packetsPerSecond];
  return {
    what: `${names[way]}, beside ${count} machines`,
    value: textOf(beside),
    against: `alone ${textOf(alone)}: ${times(stream)}, ${times(packets)}`,
    note: metOrNot(Math.min(stream, packets) >= least, `no less than alone (>= ${least})`),
  };
};
