import { defineCommand, some } from '../command.ts';
import { manyFlags } from '../machine/act.ts';
import { switchFirewall } from './switch.ts';

export const command = defineCommand({
  detail: 'From here on everything comes in and goes out. Rules stay as they are.',
  args: { names: some('NAME', 'machine') },
  flags: manyFlags,
  examples: ['firewall disable web', "firewall disable 'web-*' --yes"],
  run: ({ args, flags }, context) => switchFirewall(context, args.names, flags, false),
});
