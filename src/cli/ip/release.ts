import { defineCommand, one, some } from '../command.ts';
import { selectNetwork } from '../network/select.ts';
import { listAddresses } from './list.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail: 'It may be given to any machine again; one that has it keeps it.',
  args: { network: one('NETWORK', 'network'), addresses: some('ADDRESS') },
  flags: {},
  examples: ['ip release back 192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const { id, name } = await selectNetwork(context, args.network);
    const reserved = new Set((await listAddresses(context, id)).filter((one) => one.reserved).map(({ address }) => address));
    const done = [];
    for (const word of args.addresses) done.push(await control.networkReserve(id, parseAddress('ADDRESS', word), false, { signal: context.signal }));
    if (flags.json) context.output.json(done);
    else
      for (const { address } of done)
        context.output.line(reserved.has(address) ? `released ${address} of network ${name}` : `${address} of network ${name} was not reserved`);
  },
});
