import { formatAge } from '../format.ts';
import type { AccountKey } from '../../model/account.ts';
import { defineCommand, one, toggle } from '../command.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<AccountKey>[] = [
  { title: 'FINGERPRINT', cell: ({ fingerprint }) => fingerprint },
  { title: 'SHA256', cell: ({ sha256 }) => sha256 },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'AGE', cell: (each) => formatAge(each.createdAt), right: true },
];

export const command = defineCommand({
  args: { account: one('ACCOUNT', 'account') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['account key ls alice'],
  run: async ({ args, flags }, context) => {
    const keys = await (await context.control()).keyList(args.account, { signal: context.signal });
    if (flags.json) context.output.json(keys);
    else context.output.table(keys, columns, { header: !flags.noHeader });
  },
});
