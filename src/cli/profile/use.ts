import { defineCommand, one } from '../command.ts';
import { localProfile } from '../config.ts';
import { profileGet, profileUse } from './store.ts';

export const command = defineCommand({
  detail: 'Commands then go there, unless --profile, CENOTE_PROFILE or --root says otherwise. `local` is the instance on this host.',
  args: { name: one('NAME', 'profile') },
  flags: {},
  examples: ['profile use home', 'profile use local'],
  run: async ({ args, flags }, { config, output }) => {
    const local = args.name === localProfile;
    if (!local) await profileGet(config, args.name);
    await profileUse(config, local ? undefined : args.name);
    if (flags.json) output.json({ name: args.name });
  },
});
