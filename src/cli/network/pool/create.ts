import { defineCommand, one, some, value } from '../../command.ts';

export const command = defineCommand({
  detail: 'A machine that names the pool is put on the first of its networks that has an address to give. For operators.',
  args: { name: one('NAME'), networks: some('NETWORK', 'network') },
  flags: { description: value('TEXT', 'what it is for', { short: 'd' }) },
  examples: ['network pool create front front-1 front-2'],
  run: async ({ args, flags }, context) => {
    const { name, networks } = args;
    const body = { name, networks, ...(flags.description === undefined ? {} : { description: flags.description }) };
    const made = await (await context.control()).networkPoolCreate(body, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`created network pool ${made.name} of ${made.networks.join(', ')}`);
  },
});
