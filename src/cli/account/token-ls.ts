import type { Token } from '../../model/account.ts';
import { defineCommand, one, toggle } from '../command.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Token>[] = [
  { title: 'TOKEN', cell: ({ id }) => id },
  { title: 'EXPIRES', cell: ({ expiresAt }) => expiresAt },
  { title: 'MADE BY', cell: ({ actor }) => actor },
];

export const command = defineCommand({
  args: { account: one('ACCOUNT', 'account') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['account token ls alice'],
  run: async ({ args, flags }, context) => {
    const tokens = await (await context.control()).tokenList(args.account, { signal: context.signal });
    if (flags.json) context.output.json(tokens);
    else context.output.table(tokens, columns, { header: !flags.noHeader });
  },
});
