import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  detail: 'KEY is its name or a fingerprint. Whoever holds it is a stranger from the next request on.',
  args: { account: one('ACCOUNT', 'account'), key: one('KEY') },
  flags: {},
  examples: ['account key delete alice laptop'],
  run: async ({ args, flags }, context) => {
    await (await context.control()).keyDelete(args.account, args.key, { signal: context.signal });
    if (flags.json) context.output.json({ deleted: [args.key] });
    else context.output.line(`deleted key ${args.key}`);
  },
});
