import { formatAge } from '../format.ts';
import type { Account } from '../../model/account.ts';
import { defineCommand, toggle } from '../command.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Account>[] = [
  { title: 'ACCOUNT', cell: ({ name }) => name },
  { title: 'STATE', cell: ({ disabledAt }) => (disabledAt === null ? 'enabled' : 'disabled') },
  { title: 'EMAIL', cell: ({ profile }) => profile.email ?? '' },
  { title: 'AGE', cell: (each) => formatAge(each.createdAt), right: true },
];

export const command = defineCommand({
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['account ls', 'account ls --json'],
  run: async ({ flags }, context) => {
    const accounts = await (await context.control()).accountList({ signal: context.signal });
    if (flags.json) context.output.json(accounts);
    else context.output.table(accounts, columns, { header: !flags.noHeader });
  },
});
