import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatAge } from '../format.ts';
import { selectRule } from './select.ts';

export const command = defineCommand({
  detail: 'RULE is an id or the beginning of one.',
  args: { rule: one('RULE', 'firewall rule') },
  flags: {},
  examples: ['fwrule get 4b1f', 'fwrule get 4b1f --json'],
  run: async ({ args, flags }, context) => {
    const found = await selectRule(context, args.rule);
    if (flags.json) return context.output.json(found);
    const lines = detailLines([
      ['Id', found.id],
      ['Rule', found.rule],
      ['Description', found.description],
      ['Enabled', found.enabled ? (found.applied ? 'yes' : 'yes, but the host does not have it yet') : 'no'],
      ['Logged', found.log ? 'yes' : null],
      ['About', found.global ? "every account's machines" : `machines of ${found.account}`],
      ['Created', `${found.createdAt} (${formatAge(found.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
