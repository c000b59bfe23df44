import { shortId } from '../../base/ids.ts';
import { defineCommand, some, toggle, value } from '../command.ts';
import { inPlainWords } from './plain-words.ts';
import { notInForce } from './select.ts';

export const command = defineCommand({
  detail:
    'RULE is FROM targets TO targets ALLOW|BLOCK protocol [PRIORITY 0..100]; quote it, since parentheses mean something to the shell. It is applied by the machines it names whose firewall is on, and is in force when the command returns.',
  args: { rule: some('RULE') },
  flags: {
    description: value('TEXT', 'what it is for', { short: 'd' }),
    disabled: toggle('leave it without effect until it is enabled', { short: 'D' }),
    log: toggle("write what it decides to the host's log", { short: 'l' }),
    global: toggle("about every account's machines (operators only)"),
  },
  examples: [
    "fwrule create 'FROM any TO tag role = web ALLOW tcp (PORT 80 AND PORT 443)'",
    'fwrule create FROM tag role = web TO tag role = db ALLOW tcp PORT 5432',
    'fwrule create FROM subnet 192.0.2.0/24 TO all vms BLOCK tcp PORT all PRIORITY 10 --log',
  ],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const rule = args.rule.join(' ');
    const asked = control.firewallRuleCreate(
      {
        rule,
        enabled: !flags.disabled,
        log: flags.log,
        ...(flags.description === undefined ? {} : { description: flags.description }),
        ...(flags.global ? { global: true } : {}),
      },
      { signal: context.signal },
    );
    const made = await inPlainWords(context, rule, asked);
    if (flags.json) context.output.json(made);
    else context.output.line(`created firewall rule ${shortId(made.id)}: ${made.rule}${notInForce(made)}`);
  },
});
