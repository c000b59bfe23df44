import { shortId } from '../../base/ids.ts';
import type { FirewallRule } from '../../model/firewall/wire.ts';
import { defineCommand, toggle, value } from '../command.ts';
import { formatAge } from '../format.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<FirewallRule>[] = [
  { title: 'ID', cell: ({ id }) => shortId(id) },
  { title: 'ENABLED', cell: ({ enabled }) => (enabled ? 'yes' : 'no') },
  { title: 'OF', cell: ({ global }) => (global ? 'everybody' : 'account') },
  { title: 'RULE', cell: ({ rule }) => rule },
  { title: 'AGE', cell: ({ createdAt }) => formatAge(createdAt), right: true },
];

export const command = defineCommand({
  detail: "The account's rules, and the operator's, which are about everybody's machines.",
  args: {},
  flags: {
    machine: value('NAME', 'only rules that are about this machine', { complete: 'machine' }),
    noHeader: toggle('without the headings', { short: 'H' }),
  },
  examples: ['fwrule ls', 'fwrule ls --machine web', 'fwrule ls --json'],
  run: async ({ flags }, context) => {
    const control = await context.control();
    const call = { signal: context.signal };
    const rules =
      flags.machine === undefined
        ? await control.firewallRuleList(call)
        : await control.machineFirewallRules((await selectMachine(context, flags.machine)).id, call);
    if (flags.json) context.output.json(rules);
    else context.output.table(rules, columns, { header: !flags.noHeader });
  },
});
