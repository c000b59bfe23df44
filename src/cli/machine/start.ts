import { defineCommand, some } from '../command.ts';
import { actOnMany, manyFlags } from './act.ts';

export const command = defineCommand({
  args: { names: some('NAME', 'machine') },
  flags: manyFlags,
  examples: ['start web', "start 'web-*' --yes"],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return actOnMany(context, args.names, flags, {
      words: ['start', 'starting', 'started'],
      ask: (machine, options) => control.machineStart(machine.id, options),
    });
  },
});
