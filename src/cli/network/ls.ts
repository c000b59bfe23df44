import { shortId } from '../../base/ids.ts';
import type { Network } from '../../model/network-api.ts';
import { defineCommand, toggle } from '../command.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Network>[] = [
  { title: 'NAME', cell: ({ name, isDefault }) => `${name}${isDefault ? ' *' : ''}` },
  { title: 'ID', cell: ({ id }) => shortId(id) },
  { title: 'OF', cell: ({ fabric }) => (fabric ? 'account' : 'operator') },
  { title: 'VLAN', cell: ({ vlan }) => (vlan === null ? '' : String(vlan)), right: true },
  { title: 'SUBNET', cell: ({ subnet }) => subnet },
  { title: 'GATEWAY', cell: ({ gateway }) => gateway ?? '' },
  { title: 'OUTSIDE', cell: ({ gateway, internetNat }) => (gateway !== null && internetNat ? 'yes' : 'no') },
];

export const command = defineCommand({
  detail:
    'The external network, which every account has, shared ones that you may use, and those of your own. New machines are on the one with a star when nothing is said.',
  args: {},
  flags: { noHeader: toggle('without the headings', { short: 'H' }) },
  examples: ['network ls', 'network ls --json'],
  run: async ({ flags }, context) => {
    const networks = await (await context.control()).networkList({ signal: context.signal });
    if (flags.json) context.output.json(networks);
    else context.output.table(networks, columns, { header: !flags.noHeader });
  },
});
