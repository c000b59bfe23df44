/** `cenote ls` as a person has it: the whole command, from the shell to the last line. */
import { metOrNot, ms } from '../lib/format.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import type { Suite } from '../lib/suite.ts';
import { run } from '../../src/exec/run.ts';

export const listTimes = async ({ host }: BenchInstance, count: number): Promise<Summary> => {
  const taken: number[] = [];
  await host.must('ls');
  for (let index = 0; index < count; index += 1) taken.push(await timed(() => host.must('ls')));
  return summarise(taken);
};

export const listSuite: Suite = {
  name: 'list',
  title: 'The command line',
  method: '`cenote ls` with three machines, the whole command, beside `node -e 0`, the start of the Node it runs on.',
  run: async (bench) => {
    const instance = await bench.instance();
    const count = bench.count(40, 8);
    const machines = [await instance.create(), await instance.create(), await instance.create()];
    const node: number[] = [];
    for (let index = 0; index < count; index += 1) node.push(await timed(() => run(process.execPath, ['-e', '0'])));
    const [floor, taken] = [summarise(node), await listTimes(instance, count)];
    for (const { id } of machines) await instance.remove(id);
    return {
      rows: [
        { what: 'floor: `node -e 0`', value: `p50 ${ms(floor.p50)}, p99 ${ms(floor.p99)} (n=${floor.n})` },
        { what: '`cenote ls`', value: `p50 ${ms(taken.p50)}, p99 ${ms(taken.p99)} (n=${taken.n})`, note: metOrNot(taken.p50 <= 100, '<= 100 ms') },
      ],
      data: { floor, taken },
    };
  },
};
