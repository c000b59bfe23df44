import { invalid } from '../../base/errors.ts';
import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { parsePlatform } from './reference.ts';

export const command = defineCommand({
  detail: 'Refused while a machine uses it.',
  args: { platforms: some('NAME@VERSION', 'platform') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['platform delete web@1'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.platforms, flags, 'platform', async (text) => {
      const { name, version } = parsePlatform('NAME@VERSION', text);
      if (version === undefined) throw invalid('NAME@VERSION', `${JSON.stringify(text)} says no version`, 'see them: cenote platform ls');
      await control.platformDelete(name, version, { signal: context.signal });
    });
  },
});
