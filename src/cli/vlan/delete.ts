import { defineCommand, some, toggle } from '../command.ts';
import { deleteNamed } from '../delete-named.ts';
import { vlanNumber } from './number.ts';

export const command = defineCommand({
  detail: 'Only one that has no networks.',
  args: { vlans: some('VLAN') },
  flags: { yes: toggle('do it also to more than one', { short: 'y' }) },
  examples: ['vlan delete 100'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    return deleteNamed(context, args.vlans, flags, 'VLAN', (word) => control.vlanDelete(vlanNumber(word), { signal: context.signal }));
  },
});
