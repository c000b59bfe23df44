import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  args: { account: one('ACCOUNT', 'account') },
  flags: {},
  examples: ['account enable alice'],
  run: async ({ args, flags }, context) => {
    const account = await (await context.control()).accountEnable(args.account, { signal: context.signal });
    if (flags.json) context.output.json(account);
    else context.output.line(`enabled account ${account.name}`);
  },
});
