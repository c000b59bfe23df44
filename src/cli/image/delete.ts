import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';

export const command = defineCommand({
  detail: 'Refused while a machine uses it.',
  args: { images: some('IMAGE', 'image') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['image delete shop'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.images, flags, 'image', (name) => control.imageDelete(name, { signal: context.signal }));
  },
});
