import { formatAge } from '../format.ts';
import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';

export const command = defineCommand({
  args: { account: one('ACCOUNT', 'account') },
  flags: {},
  examples: ['account get alice', 'account get alice --json'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const call = { signal: context.signal };
    const account = await control.accountGet(args.account, call);
    const keys = await control.keyList(account.id, call);
    if (flags.json) return context.output.json({ ...account, keys });
    const lines = detailLines([
      ['Account', account.name],
      ['Id', account.id],
      ...Object.entries(account.profile).map(([name, text]) => [name, text] as const),
      ['Keys', keys.map(({ name, sha256 }) => `${sha256} ${name}`)],
      ['Created', `${account.createdAt} (${formatAge(account.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
