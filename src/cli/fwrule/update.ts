import { CenoteError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { UpdateFirewallRule } from '../../model/firewall/wire.ts';
import { any, defineCommand, one, parsed, value } from '../command.ts';
import { parseSwitch } from '../values.ts';
import { inPlainWords } from './plain-words.ts';
import { notInForce, selectRule } from './select.ts';

export const command = defineCommand({
  detail: 'The new text takes the place of the old in one moment: there is none in which neither holds.',
  args: { rule: one('RULE', 'firewall rule'), text: any('TEXT') },
  flags: {
    description: value('TEXT', 'what it is for; nothing takes it away', { short: 'd' }),
    log: parsed('on|off', parseSwitch, "write what it decides to the host's log", { complete: ['on', 'off'] }),
  },
  examples: ["fwrule update 4b1f 'FROM any TO tag role = web ALLOW tcp PORT 80'", "fwrule update 4b1f --description 'for the office' --log on"],
  run: async ({ args, flags }, context) => {
    const body: UpdateFirewallRule = {
      ...(args.text.length === 0 ? {} : { rule: args.text.join(' ') }),
      ...(flags.description === undefined ? {} : { description: flags.description === '' ? null : flags.description }),
      ...(flags.log === undefined ? {} : { log: flags.log }),
    };
    if (Object.keys(body).length === 0) throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    const { id } = await selectRule(context, args.rule);
    const changed = await inPlainWords(context, body.rule ?? '', (await context.control()).firewallRuleUpdate(id, body, { signal: context.signal }));
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated firewall rule ${shortId(id)}: ${changed.rule}${notInForce(changed)}`);
  },
});
