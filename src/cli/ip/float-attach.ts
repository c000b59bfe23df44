import { defineCommand, one } from '../command.ts';
import { parseAddress } from '../network/values.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  detail: 'From whichever machine has it now, in one move. Of a machine that does not run, it is so when it does.',
  args: { address: one('ADDRESS'), name: one('NAME', 'machine') },
  flags: {},
  examples: ['ip float attach 203.0.113.7 web'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const changed = await control.floatingAttach(parseAddress('ADDRESS', args.address), machine.id, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`${changed.address} leads to ${machine.name}`);
  },
});
