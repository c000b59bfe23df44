import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatAge } from '../format.ts';
import type { Network } from '../../model/network-api.ts';
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
      ['Of', ownersOf(found)],
      ['Public', found.public ? 'yes: machines are reached by their own addresses' : 'no'],
      ['VLAN', found.vlan],
      ['Subnet', found.subnet],
      ['Gateway', found.gateway ?? 'none'],
      ['Range', `${found.rangeFirst} to ${found.rangeLast}`],
      ['Resolvers', found.resolvers.length > 0 ? found.resolvers : ['the host']],
      ['Routes', Object.entries(found.routes).map(([subnet, by]) => `${subnet} by ${by}`)],
      ['Outside', found.internetNat && found.gateway !== null ? (found.uplink === null || found.public ? 'yes' : `yes, as ${found.uplink}`) : 'no'],
      ['MTU', found.mtu],
      ['Wire', found.device === undefined ? undefined : `at ${found.device}${found.tag === undefined ? '' : `, tag ${found.tag}`}`],
      ['Created', `${found.createdAt} (${formatAge(found.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});

const ownersOf = ({ fabric, owners = [] }: Network): string => {
  if (fabric) return 'the account';
  return owners.length === 0 ? 'the operator: everybody’s machines may be on it' : `the operator, for ${owners.join(', ')}`;
};
