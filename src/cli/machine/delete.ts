import { defineCommand, some } from '../command.ts';
import { actOnMany, manyFlags } from './act.ts';

export const command = defineCommand({
  detail: 'A running machine is stopped first. Its data and its snapshots are gone afterwards.',
  args: { names: some('NAME', 'machine') },
  flags: manyFlags,
  examples: ['delete web', "delete 'test-*' --yes"],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return actOnMany(context, args.names, flags, {
      words: ['delete', 'deleting', 'deleted'],
      ask: (machine, options) => control.machineDelete(machine.id, options),
    });
  },
});
