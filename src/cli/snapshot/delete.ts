import { defineCommand, one } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  args: { name: one('NAME', 'machine'), snapshot: one('SNAPSHOT', 'snapshot') },
  flags: {},
  examples: ['snapshot delete db before'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `deleting ${machine.name}@${args.snapshot}`, machine: machine.name }, (options) =>
      control.snapshotDelete(machine.id, args.snapshot, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`deleted ${machine.name}@${args.snapshot}`);
  },
});
