import { CenoteError } from '../../base/errors.ts';
import type { Accepted } from '../../model/control-api.ts';
import { checkSnapshotName } from '../../model/names.ts';
import { defineCommand, one, optional } from '../command.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';

/** `2026-11-23T19-01-07Z`: sorts by time and needs no quotes. One more in the same second has its thousandths too. */
const namesNow = (): [name: string, ifTaken: string] => {
  const now = new Date().toISOString().replaceAll(':', '-');
  return [now.replace(/\.\d+/, ''), now];
};

export const command = defineCommand({
  detail: 'Without a name for the snapshot, the time is its name. The machine stands still for a moment; the answer says how long.',
  args: { name: one('NAME', 'machine'), snapshot: optional('SNAPSHOT') },
  flags: {},
  examples: ['snapshot create db before', 'snapshot create db'],
  run: async ({ args, flags }, context) => {
    const [first, second] = args.snapshot === undefined ? namesNow() : [checkSnapshotName('SNAPSHOT', args.snapshot)];
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const make = async (name: string): Promise<{ accepted: Accepted; name: string }> => ({
      accepted: await finishJob(context, { doing: `snapshotting ${machine.name}`, machine: machine.name }, (options) =>
        control.snapshotCreate(machine.id, { name }, options),
      ),
      name,
    });
    const { accepted, name } = await make(first).catch((error: unknown) => {
      if (second !== undefined && error instanceof CenoteError && error.code === 'already_exists') return make(second);
      throw error;
    });
    if (flags.json) return context.output.json(accepted);
    const freeze = accepted.job.result['freezeMs'];
    const frozen = typeof freeze === 'number' ? `, stood still for ${Math.round(freeze * 10) / 10} ms` : '';
    context.output.line(`created ${machine.name}@${name} in ${jobMilliseconds(accepted.job)} ms${frozen}`);
  },
});
