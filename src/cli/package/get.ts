import { defineCommand, one } from '../command.ts';
import { packageColumns } from './ls.ts';

export const command = defineCommand({
  args: { package: one('PACKAGE', 'package') },
  flags: {},
  examples: ['package get large --json'],
  run: async ({ args, flags }, context) => {
    const found = await (await context.control()).packageGet(args.package, { signal: context.signal });
    if (flags.json) context.output.json(found);
    else context.output.table([found], packageColumns);
  },
});
