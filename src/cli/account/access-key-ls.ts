import { formatAge } from '../format.ts';
import type { AccessKey } from '../../model/access-key.ts';
import { defineCommand, one, toggle } from '../command.ts';
import type { Column } from '../table.ts';
import { ofUser } from './of-user.ts';

const columns: readonly Column<AccessKey>[] = [
  { title: 'ACCESS KEY', cell: ({ id }) => id },
  { title: 'STATE', cell: ({ active }) => (active ? 'active' : 'inactive') },
  { title: 'AGE', cell: (each) => formatAge(each.createdAt), right: true },
  { title: 'DESCRIPTION', cell: ({ description }) => description },
];

export const command = defineCommand({
  detail: "The account's own, or with --user those of one of its users. Nothing tells their secrets.",
  args: { account: one('ACCOUNT', 'account') },
  flags: { user: ofUser, noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['account accesskey ls alice', 'account accesskey ls alice --user carol'],
  run: async ({ args, flags }, context) => {
    const keys = await (await context.control()).accessKeyList({ account: args.account, user: flags.user }, { signal: context.signal });
    if (flags.json) context.output.json(keys);
    else context.output.table(keys, columns, { header: !flags.noHeader });
  },
});
