/** From the request to a running machine and away again: one after another, 8 at once, 64 at once; and the floor in the same minutes. */
import type { Machine } from '../../src/model/control-api.ts';
import { openFloor } from '../lib/floor.ts';
import { metOrNot, ms, p50p99, rate, times } from '../lib/format.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import type { Burst } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Bench, Row, Suite } from '../lib/suite.ts';

/** What is measured one after another is measured in turns, so that all see the same host. */
const turns = 4;

export const startSuite: Suite = {
  name: 'start',
  title: 'Create to running, and delete',
  method:
    'POST /v1/machines?wait on the control plane’s socket, image `base`, until the answer says running; DELETE with wait. The floors are taken in turns with it: bare `crun run` of `true` ' +
    '(host network, no filter, no limits); crun create + start with our whole specification and fresh namespaces; conmon around it.',
  run: async (bench) => {
    const instance = await bench.instance();
    const serial = await oneAfterAnother(bench, instance);
    bench.note(`create ${p50p99(serial.create)}, conmon + crun ${p50p99(serial.conmon)}`);
    const eight = await together(instance, bench.count(160, 24), 8);
    bench.note(`8 at once: ${rate(eight.create.perSecond)}`);
    const many = await together(instance, bench.count(256, 64), 64);
    bench.note(`64 at once: ${rate(many.create.perSecond)}`);
    const rows: Row[] = [
      { what: 'floor: `crun run` of `true`', value: p50p99(serial.bare) },
      { what: 'floor: crun create + start, our specification', value: p50p99(serial.crun) },
      { what: 'floor: conmon + crun create + start', value: p50p99(serial.conmon) },
      {
        what: 'create to running, one after another',
        value: p50p99(serial.create),
        against: `${times(serial.create.p50 / serial.conmon.p50)} of conmon + crun`,
        note: metOrNot(serial.create.p50 <= 25 && serial.create.p99 <= 70, 'p50 <= 25 ms, p99 <= 70 ms'),
      },
      { what: 'of it the agent (bring-up)', value: p50p99(serial.agent) },
      {
        what: 'delete, one after another',
        value: p50p99(serial.remove),
        against: `${times(serial.remove.p50 / serial.create.p50)} of a create`,
        note: metOrNot(serial.remove.p50 <= serial.create.p50, 'as fast as create'),
      },
      { what: 'create, 8 at once', value: burstText(eight.create), note: metOrNot(eight.create.perSecond >= 50, '>= 50 a second') },
      { what: 'delete, 8 at once', value: burstText(eight.remove) },
      {
        what: 'create, 64 at once',
        value: burstText(many.create),
        against: `${times(many.create.perSecond / eight.create.perSecond)} of the rate at 8`,
        note: metOrNot(many.create.perSecond >= 0.95 * eight.create.perSecond, 'all succeed, the rate does not fall'),
      },
      { what: 'delete, 64 at once', value: burstText(many.remove) },
    ];
    return { rows, data: { serial, eight: numbers(eight), many: numbers(many) } };
  },
};

const burstText = ({ perSecond, samples }: Burst): string =>
  `${rate(perSecond)}, p50 ${ms(summarise(samples).p50)}, p99 ${ms(summarise(samples).p99)} (n=${samples.length})`;
const numbers = ({ create, remove }: { create: Burst; remove: Burst }) => ({
  create: { ...summarise(create.samples), perSecond: create.perSecond },
  remove: { ...summarise(remove.samples), perSecond: remove.perSecond },
});

const oneAfterAnother = async (bench: Bench, instance: BenchInstance) => {
  await using floor = await openFloor();
  const count = bench.count(200, 20);
  const floorCount = bench.count(80, 8);
  const taken = { bare: [] as number[], crun: [] as number[], conmon: [] as number[], create: [] as number[], remove: [] as number[] };
  const machines: Machine[] = [];
  // The first of each pays for what is kept afterwards: compiled filters, compiled code, open files.
  for (const warm of [() => floor.bareRun(), () => floor.crunWhole(), () => floor.conmonWhole(), () => floor.conmonWhole()]) await warm();
  for (let index = 0; index < 5; index += 1) await instance.remove((await instance.create()).id);
  const since = (await lastEvent(instance)) ?? 0;
  for (let turn = 0; turn < turns; turn += 1) {
    for (let index = 0; index < floorCount / turns; index += 1) {
      taken.bare.push(await floor.bareRun());
      taken.crun.push(await floor.crunWhole());
      taken.conmon.push(await floor.conmonWhole());
    }
    for (let index = 0; index < count / turns; index += 1) taken.create.push(await timed(async () => machines.push(await instance.create())));
    for (const { id } of machines.splice(0)) taken.remove.push(await timed(() => instance.remove(id)));
  }
  return {
    bare: summarise(taken.bare),
    crun: summarise(taken.crun),
    conmon: summarise(taken.conmon),
    create: summarise(taken.create),
    remove: summarise(taken.remove),
    agent: summarise(await startTimes(instance, since)),
  };
};

const together = async (instance: BenchInstance, count: number, atOnce: number): Promise<{ create: Burst; remove: Burst }> => {
  const machines: Machine[] = [];
  const create = await burst(count, atOnce, async () => machines.push(await instance.create()));
  demandAll(`create, ${atOnce} at once`, create);
  const remove = await burst(count, atOnce, (index) => instance.remove(machines[index]!.id));
  demandAll(`delete, ${atOnce} at once`, remove);
  return { create, remove };
};

const lastEvent = async ({ client }: BenchInstance): Promise<number | undefined> => {
  let last: number | undefined;
  for await (const batch of client.events()) last = batch.at(-1)?.sequence ?? last;
  return last;
};

/** What the agent itself says that each start took. */
const startTimes = async ({ client }: BenchInstance, after: number): Promise<number[]> => {
  const found: number[] = [];
  for await (const batch of client.events({ after })) {
    for (const { type, detail } of batch) if (type === 'machine.started' && typeof detail['milliseconds'] === 'number') found.push(detail['milliseconds']);
  }
  return found;
};
