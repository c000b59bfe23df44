import { shortId } from '../../base/ids.ts';
import { defineCommand, some } from '../command.ts';
import { notInForce, selectRule } from './select.ts';

export const command = defineCommand({
  detail: 'Connections that no other rule allows are cut.',
  args: { rules: some('RULE', 'firewall rule') },
  flags: {},
  examples: ['fwrule disable 4b1f'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    for (const word of args.rules) {
      const { id } = await selectRule(context, word);
      const changed = await control.firewallRuleDisable(id, { signal: context.signal });
      if (flags.json) context.output.jsonLine(changed);
      else context.output.line(`disabled firewall rule ${shortId(id)}: ${changed.rule}${notInForce(changed)}`);
    }
  },
});
