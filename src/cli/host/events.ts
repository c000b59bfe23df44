import { defineCommand, parsed, toggle } from '../command.ts';
import { interruptedExit } from '../context.ts';
import { parseCount } from '../format.ts';
import { printable } from '../table.ts';

export const command = defineCommand({
  detail: 'With --json one object a line.',
  args: {},
  flags: {
    follow: toggle('show what comes; with --after also what came since', { short: 'f' }),
    after: parsed('N', parseCount(0, 2 ** 31), 'only those numbered above N'),
  },
  examples: ['events', 'events -f', 'events --json --after 120'],
  run: async ({ flags }, context) => {
    const { signal, output } = context;
    const query = { ...(flags.after === undefined ? {} : { after: flags.after }), ...(flags.follow ? { follow: true } : {}) };
    try {
      for await (const events of (await context.control()).events(query, { signal })) {
        for (const event of events) {
          if (flags.json) output.jsonLine(event);
          else output.line(`${event.at}  ${event.type.padEnd(18)}  ${printable(event.message)}`);
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      return interruptedExit;
    }
    return 0;
  },
});
