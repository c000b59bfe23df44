import { defineCommand, parsed, some } from '../command.ts';
import { parseGrace } from '../format.ts';
import { actOnMany, manyFlags } from './act.ts';

export const command = defineCommand({
  args: { names: some('NAME', 'machine') },
  flags: { ...manyFlags, grace: parsed('TIME', parseGrace, 'time between the stop signal and the kill, such as 30s') },
  examples: ['reboot web', "reboot 'web-*' --yes"],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const body = flags.grace === undefined ? {} : { graceSeconds: flags.grace };
    return actOnMany(context, args.names, flags, {
      words: ['reboot', 'rebooting', 'rebooted'],
      ask: (machine, options) => control.machineReboot(machine.id, body, options),
    });
  },
});
