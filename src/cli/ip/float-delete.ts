import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail: 'It may be anybody’s then. Only one that leads to no machine.',
  args: { addresses: some('ADDRESS') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['ip float delete 203.0.113.7'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.addresses, flags, 'floating address', (word) =>
      control.floatingDelete(parseAddress('ADDRESS', word), { signal: context.signal }),
    );
  },
});
