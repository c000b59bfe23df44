import { CenoteError } from '../../../base/errors.ts';
import type { UpdateNetworkPool } from '../../../model/network-api.ts';
import { defineCommand, many, one, value } from '../../command.ts';

export const command = defineCommand({
  detail: 'Machines stay on the networks that they are on.',
  args: { pool: one('POOL') },
  flags: {
    name: value('NAME', 'another name'),
    description: value('TEXT', 'what it is for', { short: 'd' }),
    network: many('NETWORK', (_field, word) => word, 'its networks, in place of all there were; more than once', { short: 'n', complete: 'network' }),
  },
  examples: ['network pool update front --network front-1 --network front-3'],
  run: async ({ args, flags }, context) => {
    const body: UpdateNetworkPool = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags.network.length === 0 ? {} : { networks: flags.network }),
    };
    if (Object.keys(body).length === 0) throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    const changed = await (await context.control()).networkPoolUpdate(args.pool, body, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated network pool ${changed.name} of ${changed.networks.join(', ')}`);
  },
});
