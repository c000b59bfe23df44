import { randomBytes } from 'node:crypto';
import { CenoteError } from '../../base/errors.ts';
import type { Accepted } from '../../model/control-api.ts';
import { checkSnapshotName } from '../../model/names.ts';
import { defineCommand, one, optional } from '../command.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';

/** `2026-11-23T19-01-07Z`: sorts by time and needs no quotes. One more in the same second has its thousandths too, and something of its own. */
const nameNow = (attempt: number): string => {
  const now = new Date().toISOString().replaceAll(':', '-');
  return attempt === 0 ? now.replace(/\.\d+/, '') : now.replace('Z', `-${randomBytes(3).toString('hex')}Z`);
};
/** More would be taken by chance only where something else is wrong. */
const mostAttempts = 3;

export const command = defineCommand({
  detail: 'Without a name for the snapshot, the time is its name. The machine stands still for a moment; the answer says how long.',
  args: { name: one('NAME', 'machine'), snapshot: optional('SNAPSHOT') },
  flags: {},
  examples: ['snapshot create db before', 'snapshot create db'],
  run: async ({ args, flags }, context) => {
    const given = args.snapshot === undefined ? undefined : checkSnapshotName('SNAPSHOT', args.snapshot);
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const make = async (attempt: number): Promise<{ accepted: Accepted; name: string }> => {
      const name = given ?? nameNow(attempt);
      try {
        const accepted = await finishJob(context, { doing: `snapshotting ${machine.name}`, machine: machine.name }, (options) =>
          control.snapshotCreate(machine.id, { name }, options),
        );
        return { accepted, name };
      } catch (error) {
        const isTaken = error instanceof CenoteError && error.code === 'already_exists';
        if (given !== undefined || !isTaken || attempt + 1 === mostAttempts) throw error;
        return make(attempt + 1);
      }
    };
    const { accepted, name } = await make(0);
    if (flags.json) return context.output.json(accepted);
    const freeze = accepted.job.result['freezeMs'];
    const frozen = typeof freeze === 'number' ? `, stood still for ${Math.round(freeze * 10) / 10} ms` : '';
    context.output.line(`created ${machine.name}@${name} in ${jobMilliseconds(accepted.job)} ms${frozen}`);
  },
});
