import { defineCommand, one } from '../command.ts';
import { ofUser } from './of-user.ts';

export const command = defineCommand({
  detail: 'Whoever has its secret is a stranger from the next request on, and so are tokens that were made with it.',
  args: { account: one('ACCOUNT', 'account'), key: one('KEY') },
  flags: { user: ofUser },
  examples: ['account accesskey delete alice CNAK7H2M4Q8R0T3VXYZ1'],
  run: async ({ args, flags }, context) => {
    await (await context.control()).accessKeyDelete({ account: args.account, user: flags.user }, args.key, { signal: context.signal });
    if (flags.json) context.output.json({ deleted: [args.key] });
    else context.output.line(`deleted access key ${args.key}`);
  },
});
