import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';

export const command = defineCommand({
  detail: 'Machines made with it keep what they have.',
  args: { packages: some('PACKAGE', 'package') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['package delete large'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.packages, flags, 'package', (name) => control.packageDelete(name, { signal: context.signal }));
  },
});
