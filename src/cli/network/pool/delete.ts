import { defineCommand, some, toggle } from '../../command.ts';
import { deleteNamed } from '../../delete-named.ts';

export const command = defineCommand({
  detail: 'Its networks, and the machines on them, stay.',
  args: { pools: some('POOL') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['network pool delete front'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.pools, flags, 'network pool', async (word) => control.networkPoolDelete(word, { signal: context.signal }));
  },
});
