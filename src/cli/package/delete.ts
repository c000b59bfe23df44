import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';

export const command = defineCommand({
  detail: 'PACKAGE is all of its versions, PACKAGE@VERSION that one. What a machine has cannot be deleted.',
  args: { packages: some('PACKAGE', 'package') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['package delete large', 'package delete large@1'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.packages, flags, 'package', (name) => control.packageDelete(name, { signal: context.signal }));
  },
});
