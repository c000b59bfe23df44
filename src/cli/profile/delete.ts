import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { profileDelete } from './store.ts';

export const command = defineCommand({
  detail: 'Keys and the account stay as they are.',
  args: { names: some('NAME', 'profile') },
  flags: { yes: toggle('also several at once', { short: 'y' }) },
  examples: ['profile delete home'],
  run: ({ args, flags }, context) => deleteNamed(context, args.names, flags, 'profile', (name) => profileDelete(context.config, name)),
});
