import { defineCommand, one } from '../command.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail: 'It leads nowhere then, and stays yours.',
  args: { address: one('ADDRESS') },
  flags: {},
  examples: ['ip float detach 203.0.113.7'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const changed = await control.floatingDetach(parseAddress('ADDRESS', args.address), { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`${changed.address} leads to no machine`);
  },
});
