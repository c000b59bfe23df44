import { defineCommand, one, parsed } from '../command.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail:
    'Yours until you delete it. NETWORK is a public one, or a pool of such. Attached to a machine, the machine is reached by it from outside, and seen as it.',
  args: { network: one('NETWORK', 'network') },
  flags: { address: parsed('ADDRESS', parseAddress, 'this address, which must be free (default the next of the network)', { short: 'a' }) },
  examples: ['ip float create front', 'ip float create front --address 203.0.113.7'],
  run: async ({ args, flags }, context) => {
    const body = { network: args.network, ...(flags.address === undefined ? {} : { address: flags.address }) };
    const made = await (await context.control()).floatingCreate(body, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`created floating address ${made.address} of network ${made.networkName}`);
  },
});
