import { defineCommand, one } from '../command.ts';
import { detailLines } from '../details.ts';
import { formatAge, plural } from '../format.ts';
import type { Context } from '../context.ts';
import { CenoteError } from '../../base/errors.ts';
import type { DroppedPackets } from '../../model/machine.ts';
import type { Network } from '../../model/network-api.ts';
import type { NetworkUsage } from '../../model/network-usage.ts';
import { selectNetwork } from './select.ts';

export const command = defineCommand({
  args: { network: one('NETWORK', 'network') },
  flags: {},
  examples: ['network get back', 'network get back --json'],
  run: async ({ args, flags }, context) => {
    const found = await selectNetwork(context, args.network);
    const usage = await usageOf(context, found);
    if (flags.json) return context.output.json({ ...found, ...(usage === undefined ? {} : { usage }) });
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
      ['Machines', usage === undefined ? undefined : `${usage.machines} on it that run`],
      ['Dropped', usage === undefined ? undefined : droppedWords(usage.dropped)],
      ['Created', `${found.createdAt} (${formatAge(found.createdAt)} ago)`],
    ]);
    for (const line of lines) context.output.line(line);
  },
});

/** Of networks of one's own, and to the operator of all; a host that does not answer is no reason to say nothing. */
const usageOf = async (context: Context, { id, fabric, owners }: Network): Promise<NetworkUsage | undefined> => {
  if (!fabric && owners === undefined) return undefined;
  try {
    return await (await context.control()).networkUsage(id, { signal: context.signal });
  } catch (error) {
    if (error instanceof CenoteError && ['unavailable', 'timeout'].includes(error.code)) return undefined;
    throw error;
  }
};

const dropWords: Readonly<Record<keyof DroppedPackets, string>> = {
  spoofed: 'from an address or MAC that the sender has not',
  refused: 'to where machines may not send',
  strangers: 'from outside, to no published port',
  malformed: 'malformed, or of no connection that there is',
  crowded: 'of machines that have too many connections',
  blocked: 'by firewalls, in the last day',
};

const droppedWords = (dropped: DroppedPackets): string[] =>
  (Object.entries(dropped) as [keyof DroppedPackets, number][]).map(([reason, packets]) => `${plural(packets, 'packet')} ${dropWords[reason]}`);

const ownersOf = ({ fabric, owners = [] }: Network): string => {
  if (fabric) return 'the account';
  return owners.length === 0 ? 'the operator: everybody’s machines may be on it' : `the operator, for ${owners.join(', ')}`;
};
