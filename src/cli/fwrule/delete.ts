import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { selectRule } from './select.ts';

export const command = defineCommand({
  detail: 'Connections that only these rules allowed are cut.',
  args: { rules: some('RULE', 'firewall rule') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['fwrule delete 4b1f'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.rules, flags, 'firewall rule', async (word) => {
      const { id } = await selectRule(context, word);
      await control.firewallRuleDelete(id, { signal: context.signal });
    });
  },
});
