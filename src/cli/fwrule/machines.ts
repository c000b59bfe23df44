import type { Machine } from '../../model/control-api.ts';
import { defineCommand, one, toggle } from '../command.ts';
import type { Column } from '../table.ts';
import { selectRule } from './select.ts';

const columns: readonly Column<Machine>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ADDRESS', cell: ({ address }) => address },
  { title: 'FIREWALL', cell: ({ firewallEnabled }) => (firewallEnabled ? 'on' : 'off') },
  { title: 'STATE', cell: ({ state }) => state },
];

export const command = defineCommand({
  detail: 'Machines that the rule names. Those whose firewall is off do not apply it.',
  args: { rule: one('RULE', 'firewall rule') },
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['fwrule machines 4b1f'],
  run: async ({ args, flags }, context) => {
    const { id } = await selectRule(context, args.rule);
    const machines = await (await context.control()).firewallRuleMachines(id, { signal: context.signal });
    if (flags.json) context.output.json(machines);
    else context.output.table(machines, columns, { header: !flags.noHeader });
  },
});
