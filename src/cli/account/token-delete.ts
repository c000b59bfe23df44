import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  detail: 'TOKEN is its id, as ls shows it. Whoever has it is a stranger from the next request on.',
  args: { account: one('ACCOUNT', 'account'), token: one('TOKEN') },
  flags: {},
  examples: ['account token delete alice 8f2c1a90-5b7e-4d11-9c3e-2f6a7b8c9d0e'],
  run: async ({ args, flags }, context) => {
    await (await context.control()).tokenDelete(args.account, args.token, { signal: context.signal });
    if (flags.json) context.output.json({ deleted: [args.token] });
    else context.output.line(`deleted token ${args.token}`);
  },
});
