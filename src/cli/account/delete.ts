import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';

export const command = defineCommand({
  detail: 'Its keys go with it. One that has machines stays until they are deleted.',
  args: { accounts: some('ACCOUNT', 'account') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['account delete alice'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.accounts, flags, 'account', (name) => control.accountDelete(name, { signal: context.signal }));
  },
});
