import { formatCpu, formatMib } from '../../base/units.ts';
import { formatAge } from '../format.ts';
import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';

const isNone = (value: number | null | undefined): value is null | undefined => value === undefined || value === null;

export const command = defineCommand({
  args: { account: one('ACCOUNT', 'account') },
  flags: {},
  examples: ['account get alice', 'account get alice --json'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const call = { signal: context.signal };
    const account = await control.accountGet(args.account, call);
    const keys = await control.keyList(account.id, call);
    const accessKeys = await control.accessKeyList({ account: account.id, user: undefined }, call);
    if (flags.json) return context.output.json({ ...account, keys, accessKeys });
    const lines = detailLines([
      ['Account', account.name],
      ['Id', account.id],
      ['Disabled', account.disabledAt === null ? null : `since ${account.disabledAt}: nobody is let in for it, its machines go on`],
      ...Object.entries(account.profile).map(([name, text]) => [name, text] as const),
      ['Machines', isNone(account.quota.machines) ? null : `at most ${account.quota.machines}`],
      ['CPU', isNone(account.quota.cpuMillis) ? null : `at most ${formatCpu(account.quota.cpuMillis)} cores`],
      ['Memory', isNone(account.quota.memoryMib) ? null : `at most ${formatMib(account.quota.memoryMib)}`],
      ['Disk', isNone(account.quota.diskMib) ? null : `at most ${formatMib(account.quota.diskMib)}`],
      ['Names in DNS', account.namesEnabled ? 'on' : 'off'],
      ['Keys', keys.map(({ name, sha256 }) => `${sha256} ${name}`)],
      ['Access keys', accessKeys.map(({ id, active, description }) => `${id} ${description}${active ? '' : ' (inactive)'}`)],
      ['Created', `${account.createdAt} (${formatAge(account.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
