import { CenoteError } from '../../base/errors.ts';
import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { parseAddress } from '../network/values.ts';

export const command = defineCommand({
  detail: 'It may be anybody’s then. Only one that leads to no machine.',
  args: { addresses: some('ADDRESS') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['ip float delete 203.0.113.7'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const addresses = args.addresses.map((word) => parseAddress('ADDRESS', word));
    const had = new Set((await control.floatingList({ signal: context.signal })).map(({ address }) => address));
    // A slip in one word gives nothing back: who comes first may have it then.
    const unknown = addresses.find((address) => !had.has(address));
    if (unknown !== undefined)
      throw new CenoteError('not_found', `there is no floating address ${unknown}${addresses.length > 1 ? '; none was given back' : ''}`, {
        advice: 'see what there is: cenote ip float ls',
      });
    return deleteNamed(context, addresses, flags, 'floating address', (address) => control.floatingDelete(address, { signal: context.signal }));
  },
});
