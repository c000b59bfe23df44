import { checkSnapshotName } from '../../model/names.ts';
import { defineCommand, one, optional } from '../command.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';

/** `2026-11-23T19-01-07Z`: sorts by time and needs no quotes. */
const nameNow = (): string => new Date().toISOString().replace(/\.\d+/, '').replaceAll(':', '-');

export const command = defineCommand({
  detail: 'Without a name for the snapshot, the time is its name. The machine stands still for a moment; the answer says how long.',
  args: { name: one('NAME', 'machine'), snapshot: optional('SNAPSHOT') },
  flags: {},
  examples: ['snapshot create db before', 'snapshot create db'],
  run: async ({ args, flags }, context) => {
    const name = checkSnapshotName('SNAPSHOT', args.snapshot ?? nameNow());
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `snapshotting ${machine.name}`, machine: machine.name }, (options) =>
      control.snapshotCreate(machine.id, { name }, options),
    );
    if (flags.json) return context.output.json(accepted);
    const freeze = accepted.job.result['freezeMs'];
    const frozen = typeof freeze === 'number' ? `, stood still for ${Math.round(freeze * 10) / 10} ms` : '';
    context.output.line(`created ${machine.name}@${name} in ${jobMilliseconds(accepted.job)} ms${frozen}`);
  },
});
