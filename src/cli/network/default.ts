import { defineCommand, one } from '../command.ts';
import { selectNetwork } from './select.ts';

export const command = defineCommand({
  detail: 'New machines are on it when no network is named. The machines there are stay where they are.',
  args: { network: one('NETWORK', 'network') },
  flags: {},
  examples: ['network default back', 'network default default'],
  run: async ({ args, flags }, context) => {
    const { id } = await selectNetwork(context, args.network);
    const changed = await (await context.control()).networkMakeDefault(id, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`new machines are on network ${changed.name}`);
  },
});
