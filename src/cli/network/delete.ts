import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { selectNetwork } from './select.ts';

export const command = defineCommand({
  detail: 'Only one that no machine is on.',
  args: { networks: some('NETWORK', 'network') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['network delete back'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.networks, flags, 'network', async (word) =>
      control.networkDelete((await selectNetwork(context, word)).id, { signal: context.signal }),
    );
  },
});
