import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one } from '../command.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  args: { name: one('NAME', 'machine'), key: one('KEY') },
  flags: {},
  examples: ['metadata get web user-script'],
  run: async ({ args, flags }, context) => {
    const { name, metadata = {} } = await selectMachine(context, args.name);
    if (!Object.hasOwn(metadata, args.key)) {
      throw new CenoteError('not_found', `${name} has no metadata ${JSON.stringify(args.key)}`, { advice: `see what it has: cenote metadata ls ${name}` });
    }
    const value = metadata[args.key]!;
    if (flags.json) context.output.json(value);
    else context.output.line(value.endsWith('\n') ? value.slice(0, -1) : value);
  },
});
