import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  detail:
    'From then on its keys and tokens let nobody in, and who is connected is let go, shells included. Its machines, names and firewall rules stay as they are.',
  args: { account: one('ACCOUNT', 'account') },
  flags: {},
  examples: ['account disable alice'],
  run: async ({ args, flags }, context) => {
    const account = await (await context.control()).accountDisable(args.account, { signal: context.signal });
    if (flags.json) context.output.json(account);
    else context.output.line(`disabled account ${account.name}`);
  },
});
