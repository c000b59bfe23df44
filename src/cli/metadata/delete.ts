import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one, some } from '../command.ts';
import { plural } from '../format.ts';
import { finishJob } from '../jobs.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  args: { name: one('NAME', 'machine'), keys: some('KEY') },
  flags: {},
  examples: ['metadata delete web motd'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const unknown = args.keys.filter((key) => !Object.hasOwn(machine.metadata ?? {}, key));
    if (unknown.length > 0) {
      throw new CenoteError('not_found', `${machine.name} has no metadata ${unknown.map((key) => JSON.stringify(key)).join(', ')}`, {
        advice: `see what it has: cenote metadata ls ${machine.name}`,
      });
    }
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `changing the metadata of ${machine.name}`, machine: machine.id }, (options) =>
      control.machineMetadata(machine.id, { mode: 'remove', names: args.keys }, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`deleted ${plural(args.keys.length, 'key')} of ${machine.name}`);
  },
});
