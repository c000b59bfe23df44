import { defineCommand, one, some } from '../command.ts';
import { selectNetwork } from '../network/select.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail: 'It is not given to a machine unless it is asked for by number.',
  args: { network: one('NETWORK', 'network'), addresses: some('ADDRESS') },
  flags: {},
  examples: ['ip reserve back 192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const { id, name } = await selectNetwork(context, args.network);
    const done = [];
    for (const word of args.addresses) done.push(await control.networkReserve(id, parseAddress('ADDRESS', word), true, { signal: context.signal }));
    if (flags.json) context.output.json(done);
    else for (const { address } of done) context.output.line(`reserved ${address} of network ${name}`);
  },
});
