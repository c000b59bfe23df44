import { CenoteError } from '../../base/errors.ts';
import type { CreateNetwork } from '../../model/network-api.ts';
import { defineCommand, many, one, parsed, toggle, value } from '../command.ts';
import { parseCount } from '../format.ts';
import { parseAddress, parseRange, parseRoute } from './values.ts';

export const command = defineCommand({
  detail:
    'Machines on it reach each other, and the outside by the network’s own address there. Its addresses may be any private ones, also those that other accounts have; only your own networks and the external one may not overlap.',
  args: { name: one('NAME') },
  flags: {
    subnet: value('SUBNET', 'its addresses, such as 192.168.10.0/24 or fd00:10::/64', { short: 's' }),
    gateway: parsed('ADDRESS', parseAddress, 'where machines send what is not for it (default its first address)', { short: 'g' }),
    noGateway: toggle('it leads nowhere else'),
    range: parsed('FIRST-LAST', parseRange, 'addresses that are given to machines unasked (default all)'),
    route: many('SUBNET=ADDRESS', parseRoute, 'the machine with this address carries what is for the subnet; more than once'),
    resolver: many('ADDRESS', parseAddress, 'what machines ask for names (default the host)', { short: 'r' }),
    noNat: toggle('machines on it do not reach the outside', { short: 'x' }),
    vlan: parsed('NUMBER', parseCount(0, 4095), 'the VLAN it is counted to (default your lowest)', { short: 'v' }),
    mtu: parsed('BYTES', parseCount(576, 9000), 'the largest packet (default 1450)'),
    description: value('TEXT', 'what it is for', { short: 'd' }),
    global: toggle('for machines of several accounts (operators only)'),
    owner: many('ACCOUNT', (_field, word) => word, 'with --global: who may use it; more than once (default everybody)', { short: 'o', complete: 'account' }),
    public: toggle('with --global: machines are reached from outside by their own addresses, which are on a wire, or led to this host by the network outside'),
    device: value('DEVICE', 'with --public: the addresses and their gateway are on the wire at this device of the host, such as eth1'),
    tag: parsed('NUMBER', parseCount(1, 4094), 'with --device: under this VLAN tag (802.1Q) there'),
  },
  examples: [
    'network create back --subnet 192.168.10.0/24',
    'network create six --subnet fd00:10::/64',
    'network create db --subnet 10.9.0.0/22 --range 10.9.1.1-10.9.1.99 --no-nat',
    'network create front --global --public --subnet 203.0.113.0/24 --owner alice',
    'network create front --global --public --subnet 203.0.113.0/24 --gateway 203.0.113.1 --device eth1 --tag 42',
  ],
  run: async ({ args, flags }, context) => {
    const { subnet } = flags;
    if (subnet === undefined)
      throw new CenoteError('invalid_argument', '--subnet is missing', {
        fields: [{ field: '--subnet', message: 'is missing' }],
        advice: 'write the addresses it is to have, such as --subnet 192.168.10.0/24',
      });
    const body: CreateNetwork = {
      name: args.name,
      subnet,
      ...(flags.noGateway ? { gateway: null } : flags.gateway === undefined ? {} : { gateway: flags.gateway }),
      ...(flags.range === undefined ? {} : { rangeFirst: flags.range[0], rangeLast: flags.range[1] }),
      ...(flags.route.length === 0 ? {} : { routes: Object.fromEntries(flags.route) }),
      ...(flags.resolver.length === 0 ? {} : { resolvers: flags.resolver }),
      ...(flags.noNat ? { internetNat: false } : {}),
      ...(flags.vlan === undefined ? {} : { vlan: flags.vlan }),
      ...(flags.mtu === undefined ? {} : { mtu: flags.mtu }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags.global ? { global: true } : {}),
      ...(flags.owner.length === 0 ? {} : { owners: flags.owner }),
      ...(flags.public ? { public: true } : {}),
      ...(flags.device === undefined ? {} : { device: flags.device }),
      ...(flags.tag === undefined ? {} : { tag: flags.tag }),
    };
    const made = await (await context.control()).networkCreate(body, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`created network ${made.name}, ${made.subnet}: machines have ${made.rangeFirst} to ${made.rangeLast}`);
  },
});
