/** Snapshot of a running machine that holds data, rollback and clone, beside a create in the same minutes. */
import { metOrNot, ms, p50p99, times } from '../lib/format.ts';
import { demand, smallResources } from '../lib/instance.ts';
import { timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Suite } from '../lib/suite.ts';

const wait = 120;
const files = 200;

export const snapshotSuite: Suite = {
  name: 'snapshot',
  title: 'Snapshot, rollback and clone',
  method: `A running machine that holds ${files} files and writes all the time. Each through the API, with wait: snapshot (sync, freeze, snapshot, thaw), rollback to it (which restarts the machine), create from it; in turns with a create of a new one.`,
  run: async (bench) => {
    const { client, create, remove } = await bench.instance();
    const count = bench.count(40, 5);
    const work = `mkdir -p /srv/d; i=0; while [ $i -lt ${files} ]; do echo $i > /srv/d/$i; i=$((i+1)); done; trap 'exit 0' TERM; while :; do date > /srv/now; sleep 0.2 & wait $!; done`;
    const machine = await create({ command: ['/bin/sh', '-c', work], resources: { ...smallResources, diskMib: 128 } });
    const taken = {
      create: [] as number[],
      snapshot: [] as number[],
      freeze: [] as number[],
      rollback: [] as number[],
      clone: [] as number[],
      remove: [] as number[],
    };
    for (let index = 0; index < count; index += 1) {
      const name = `s${index}`;
      let other = '';
      taken.snapshot.push(
        await timed(async () => {
          const { job } = await client.snapshotCreate(machine.id, { name }, { wait });
          if (job.state !== 'succeeded') throw new Error(`snapshot: ${job.reason ?? job.state}`);
          if (typeof job.result['freezeMs'] === 'number') taken.freeze.push(job.result['freezeMs']);
        }),
      );
      taken.clone.push(
        await timed(async () => (other = (await create({ fromSnapshot: { machine: machine.id, name }, resources: { ...smallResources, diskMib: 128 } })).id)),
      );
      await remove(other);
      taken.create.push(await timed(async () => (other = (await create({ resources: { ...smallResources, diskMib: 128 } })).id)));
      await remove(other);
      taken.rollback.push(await timed(async () => demand(await client.snapshotRollback(machine.id, name, { wait }))));
      taken.remove.push(await timed(() => client.snapshotDelete(machine.id, name, { wait })));
    }
    await remove(machine.id);
    const made = summarise(taken.create);
    const [snapshot, rollback, clone, removed] = [summarise(taken.snapshot), summarise(taken.rollback), summarise(taken.clone), summarise(taken.remove)];
    const freeze = taken.freeze.length === 0 ? null : summarise(taken.freeze);
    const beside = (p50: number) => `${times(p50 / made.p50)} of a create`;
    return {
      rows: [
        { what: 'create, for comparison', value: p50p99(made) },
        {
          what: 'snapshot',
          value: p50p99(snapshot),
          against: freeze === null ? '' : `frozen for p50 ${ms(freeze.p50)}, p99 ${ms(freeze.p99)}`,
          note: metOrNot(snapshot.p50 <= 10, 'p50 <= 10 ms'),
        },
        { what: 'rollback', value: p50p99(rollback), against: beside(rollback.p50), note: metOrNot(rollback.p50 <= made.p50, 'no slower than a create') },
        {
          what: 'clone (create from a snapshot)',
          value: p50p99(clone),
          against: beside(clone.p50),
          note: metOrNot(clone.p50 <= made.p50, 'no slower than a create'),
        },
        { what: 'delete of a snapshot', value: p50p99(removed) },
      ],
      data: { made, snapshot, freeze, rollback, clone, removed },
    };
  },
};
