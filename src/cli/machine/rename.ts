import { checkMachineName } from '../../model/names.ts';
import { defineCommand, one } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  args: { name: one('NAME', 'machine'), newName: one('NEW-NAME') },
  flags: {},
  examples: ['rename web web-old'],
  run: async ({ args, flags }, context) => {
    checkMachineName('NEW-NAME', args.newName);
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `renaming ${machine.name}`, machine: machine.id }, (options) =>
      control.machineRename(machine.id, args.newName, options),
    );
    if (flags.json) context.output.json(accepted);
    else {
      context.output.line(`renamed ${machine.name} to ${args.newName}`);
      if (accepted.machine?.state === 'running') context.output.note('inside, its host name is another from its next start on');
    }
  },
});
