/** What a machine's reads of the pool's disk keep while its neighbours write as fast as they can. */
import { readRandomly, write } from '../lib/disk-load.ts';
import { metOrNot, ms, rate } from '../lib/format.ts';
import { demand, perlInside } from '../lib/instance.ts';
import type { Row, Suite } from '../lib/suite.ts';

const idle = ['/bin/sleep', '1000000'];
const file = '/tmp/data';
const writers = 2;
const usualWeight = 100;
const largeWeight = 1000;
const waitSeconds = 120;

interface Reads {
  perSecond: number;
  /** Of what was read. */
  fromDisk: number;
  p50: number;
  p99: number;
  max: number;
}

interface Beside {
  reads: Reads;
  /** MiB a second of all that write. */
  written: number;
}

export const diskSuite: Suite = {
  name: 'disk',
  title: 'The disk: reads beside a flood of writes',
  method:
    `One machine reads 4 KiB at a time here and there of a file of its own, past the caches; ${writers} neighbours write files of theirs from begin to end, again and again, synced each time. ` +
    'The pool’s disk is a file of the host’s, read and written past its cache, with the scheduler bfq. A share is the machine’s weight against those of all that want the disk.',
  run: async (bench) => {
    const instance = await bench.instance();
    const fileMib = bench.count(256, 32);
    const seconds = bench.count(10, 2);
    const make = async (name: string): Promise<string> => {
      const { id } = await instance.create({ name, command: idle, resources: { diskMib: 2 * fileMib + 64, ioWeight: usualWeight } });
      await perlInside(instance, name, write, file, fileMib, 0);
      return id;
    };
    const reader = await make('disk-reads');
    const neighbours = Array.from({ length: writers }, (_, index) => `disk-writes-${index}`);
    const ids = [reader, ...(await Promise.all(neighbours.map(make)))];
    const read = async (): Promise<Reads> => readsOf(await perlInside(instance, 'disk-reads', readRandomly, file, fileMib, seconds), seconds);
    const beside = async (): Promise<Beside> => {
      const writing = neighbours.map((name) => perlInside(instance, name, write, file, fileMib, seconds + 2));
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const reads = await read();
      const begunMs = performance.now();
      const mib = (await Promise.all(writing)).reduce((sum, one) => sum + Number(one), 0);
      return { reads, written: mib / (seconds + 1 + (performance.now() - begunMs) / 1000) };
    };
    const alone = await read();
    const usual = await beside();
    demand(await instance.client.machineResize(reader, { resources: { ioWeight: largeWeight } }, { wait: waitSeconds }));
    const large = await beside();
    for (const id of ids) await instance.remove(id);
    const row = (weight: number, { reads, written }: Beside): Row => {
      const share = weight / (weight + writers * usualWeight);
      const kept = reads.perSecond / alone.perSecond;
      return {
        what: `beside ${writers} that write, its weight ${weight} and theirs ${usualWeight} each`,
        value: `${shown(reads)}: ${percent(kept)} of alone`,
        against: `${written.toFixed(0)} MiB a second written`,
        note: metOrNot(kept >= share, `its share, ${percent(share)}`),
      };
    };
    return {
      rows: [{ what: 'reads of 4 KiB, alone', value: shown(alone) }, row(usualWeight, usual), row(largeWeight, large)],
      data: { alone, usual, large },
    };
  },
};

const percent = (part: number): string => `${(part * 100).toFixed(0)} %`;
const shown = ({ perSecond, p50, p99, max }: Reads): string => `${rate(perSecond)}, p50 ${ms(p50)}, p99 ${ms(p99)}, longest ${ms(max)}`;

const readsOf = (line: string, seconds: number): Reads => {
  const [count, bytes, p50, p99, max] = line.split(' ').map(Number) as [number, number, number, number, number];
  const fromDisk = bytes / (count * 4096);
  if (fromDisk < 0.9) throw new Error(`only ${(fromDisk * 100).toFixed(0)} % of what was read came from the disk`);
  return { perSecond: count / seconds, fromDisk, p50, p99, max };
};
