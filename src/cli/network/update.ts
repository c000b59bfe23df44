import { CenoteError } from '../../base/errors.ts';
import type { UpdateNetwork } from '../../model/network-api.ts';
import { defineCommand, many, one, parsed, toggle, value } from '../command.ts';
import { parseSwitch } from '../values.ts';
import { selectNetwork } from './select.ts';
import { parseAddress, parseRange, parseRoute } from './values.ts';

export const command = defineCommand({
  detail: 'Subnet, gateway and MTU stand, since machines have them. What machines ask for names they are told at their next start.',
  args: { network: one('NETWORK', 'network') },
  flags: {
    name: value('NAME', 'another name'),
    description: value('TEXT', 'what it is for', { short: 'd' }),
    range: parsed('FIRST-LAST', parseRange, 'addresses that are given to machines unasked'),
    route: many('SUBNET=ADDRESS', parseRoute, 'the machine with this address carries what is for the subnet; more than once, in place of all there were'),
    noRoutes: toggle('no machine carries anything any more'),
    resolver: many('ADDRESS', parseAddress, 'what machines ask for names, in place of all there were', { short: 'r' }),
    owner: many('ACCOUNT', (_field, word) => word, 'of a shared one: who may use it, in place of all there were', { short: 'o', complete: 'account' }),
    everybody: toggle('of a shared one: every account may use it'),
    nat: parsed('on|off', parseSwitch, 'whether machines reach the outside', { complete: ['on', 'off'] }),
  },
  examples: ['network update back --range 192.168.10.50-192.168.10.200', 'network update back --nat off'],
  run: async ({ args, flags }, context) => {
    const body: UpdateNetwork = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags.range === undefined ? {} : { rangeFirst: flags.range[0], rangeLast: flags.range[1] }),
      ...(flags.noRoutes ? { routes: {} } : flags.route.length === 0 ? {} : { routes: Object.fromEntries(flags.route) }),
      ...(flags.resolver.length === 0 ? {} : { resolvers: flags.resolver }),
      ...(flags.everybody ? { owners: [] } : flags.owner.length === 0 ? {} : { owners: flags.owner }),
      ...(flags.nat === undefined ? {} : { internetNat: flags.nat }),
    };
    if (Object.keys(body).length === 0) throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    const { id } = await selectNetwork(context, args.network);
    const changed = await (await context.control()).networkUpdate(id, body, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated network ${changed.name}`);
  },
});
