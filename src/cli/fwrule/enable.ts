import { shortId } from '../../base/ids.ts';
import { defineCommand, some } from '../command.ts';
import { notInForce, selectRule } from './select.ts';

export const command = defineCommand({
  detail: 'It is in force when the command returns.',
  args: { rules: some('RULE', 'firewall rule') },
  flags: {},
  examples: ['fwrule enable 4b1f'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    for (const word of args.rules) {
      const { id } = await selectRule(context, word);
      const changed = await control.firewallRuleEnable(id, { signal: context.signal });
      if (flags.json) context.output.jsonLine(changed);
      else context.output.line(`enabled firewall rule ${shortId(id)}: ${changed.rule}${notInForce(changed)}`);
    }
  },
});
