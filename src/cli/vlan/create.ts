import { defineCommand, one, value } from '../command.ts';
import { vlanNumber } from './number.ts';

export const command = defineCommand({
  detail: 'VLANs are groups of your networks, under numbers that are yours alone; the first network makes one by itself.',
  args: { vlan: one('VLAN'), name: one('NAME') },
  flags: { description: value('TEXT', 'what it is for', { short: 'd' }) },
  examples: ["vlan create 100 shop --description 'all of the shop'"],
  run: async ({ args, flags }, context) => {
    const body = { id: vlanNumber(args.vlan), name: args.name, ...(flags.description === undefined ? {} : { description: flags.description }) };
    const made = await (await context.control()).vlanCreate(body, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`created VLAN ${made.id}, ${made.name}`);
  },
});
