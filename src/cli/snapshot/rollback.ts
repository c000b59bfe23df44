import { defineCommand, one } from '../command.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  detail: 'What was written since the snapshot is gone. A running machine is restarted.',
  args: { name: one('NAME', 'machine'), snapshot: one('SNAPSHOT', 'snapshot') },
  flags: {},
  examples: ['snapshot rollback db before'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `rolling ${machine.name} back`, machine: machine.name }, (options) =>
      control.snapshotRollback(machine.id, args.snapshot, options),
    );
    if (flags.json) return context.output.json(accepted);
    const restarted = machine.state === 'running' ? 'restarted; ' : '';
    context.output.line(`${machine.name} is back at ${args.snapshot} (${restarted}${jobMilliseconds(accepted.job)} ms)`);
  },
});
