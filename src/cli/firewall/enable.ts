import { defineCommand, some } from '../command.ts';
import { manyFlags } from '../machine/act.ts';
import { switchFirewall } from './switch.ts';

export const command = defineCommand({
  detail:
    'From here on nothing comes in that no rule allows, published ports included, and all goes out that no rule blocks. Connections that are no longer allowed are cut.',
  args: { names: some('NAME', 'machine') },
  flags: manyFlags,
  examples: ['firewall enable web', "firewall enable 'web-*' --yes"],
  run: ({ args, flags }, context) => switchFirewall(context, args.names, flags, true),
});
