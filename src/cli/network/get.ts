import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatAge } from '../format.ts';
import { selectNetwork } from './select.ts';

export const command = defineCommand({
  args: { network: one('NETWORK', 'network') },
  flags: {},
  examples: ['network get back', 'network get back --json'],
  run: async ({ args, flags }, context) => {
    const found = await selectNetwork(context, args.network);
    if (flags.json) return context.output.json(found);
    const lines = detailLines([
      ['Name', `${found.name}${found.isDefault ? ' (default)' : ''}`],
      ['Id', found.id],
      ['Description', found.description],
      ['Of', found.fabric ? 'the account' : 'the host: everybody’s machines may be on it'],
      ['VLAN', found.vlan],
      ['Subnet', found.subnet],
      ['Gateway', found.gateway ?? 'none'],
      ['Range', `${found.rangeFirst} to ${found.rangeLast}`],
      ['Resolvers', found.resolvers.length > 0 ? found.resolvers : ['the host']],
      ['Outside', found.internetNat && found.gateway !== null ? (found.uplink === null ? 'yes' : `yes, as ${found.uplink}`) : 'no'],
      ['MTU', found.mtu],
      ['Created', `${found.createdAt} (${formatAge(found.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});
