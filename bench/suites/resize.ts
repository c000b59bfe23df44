/** Changing what a running machine may take: one at a time, and a hundred at once. */
import { metOrNot, ms, p50p99, rate } from '../lib/format.ts';
import { demand } from '../lib/instance.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import type { Burst } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Suite } from '../lib/suite.ts';

const wait = 120;

export const resizeSuite: Suite = {
  name: 'resize',
  title: 'Resize while running',
  method:
    'CPU ceiling, memory ceiling and disk quota of running machines changed through the API, with wait: up and down in turns, a thousand times; then a hundred machines at once, a hundred times. The services have just been started; what the first of each took, when little is compiled yet, is in these and said beside them.',
  run: async (bench) => {
    const { client, create, remove } = await bench.instance();
    const count = bench.count(1000, 10);
    const atOnce = bench.count(100, 12);
    const machines: string[] = [];
    demandAll('create', await burst(atOnce, 8, async () => machines.push((await create()).id)));
    const large = { cpuCeilingMillis: 1500, memoryCeilingMib: 512, diskMib: 32 };
    const small = { cpuCeilingMillis: 500, memoryCeilingMib: 64, diskMib: 24 };
    const resize = async (id: string, resources: typeof large): Promise<void> => void demand(await client.machineResize(id, { resources }, { wait }));
    const one: number[] = [];
    for (let index = 0; index < count; index += 1) one.push(await timed(() => resize(machines[0]!, index % 2 === 0 ? large : small)));
    const rounds: Burst[] = [];
    for (let round = 0; round < bench.count(100, 2); round += 1) {
      const many = await burst(atOnce, atOnce, (index) => resize(machines[index]!, round % 2 === 0 ? large : small));
      demandAll('resize', many);
      rounds.push(many);
    }
    await burst(atOnce, 8, (index) => remove(machines[index]!));
    const [single, together] = [summarise(one), summarise(rounds.flatMap(({ samples }) => samples))];
    const first = summarise(rounds[0]!.samples);
    const perSecond = together.n / rounds.reduce((sum, { seconds }) => sum + seconds, 0);
    return {
      rows: [
        { what: 'resize', value: `${p50p99(single)}; the first ${ms(one[0]!)}`, note: metOrNot(single.p99 <= 10, 'p99 <= 10 ms') },
        {
          what: `${atOnce} machines at once, ${rounds.length} times`,
          value: `${rate(perSecond)}, p50 ${ms(together.p50)}, p99 ${ms(together.p99)}; the first time p99 ${ms(first.p99)}`,
          note: metOrNot(together.p99 <= 50, 'p99 <= 50 ms'),
        },
      ],
      data: { single, together, first, perSecond },
    };
  },
};
