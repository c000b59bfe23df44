import { defineCommand, one, parsed } from '../command.ts';
import { parseSeconds } from '../format.ts';

export const command = defineCommand({
  detail:
    'Whoever sends it as X-Auth-Token acts for the account until it expires (1h, or --for; 12h at most), the key that made it is gone, or it is deleted. It makes no tokens and gives no keys. It is shown once.',
  args: { account: one('ACCOUNT', 'account') },
  flags: { for: parsed('TIME', parseSeconds, 'how long it holds, such as 15m') },
  examples: ['account token create alice', 'account token create alice --for 15m --json'],
  run: async ({ args, flags }, context) => {
    const asked = flags.for === undefined ? {} : { seconds: flags.for };
    const made = await (await context.control()).tokenCreate(args.account, asked, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(made.token);
  },
});
