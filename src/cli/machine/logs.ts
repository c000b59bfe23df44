import { defineCommand, one, parsed, toggle } from '../command.ts';
import { interruptedExit } from '../context.ts';
import { parseCount } from '../format.ts';
import { selectMachine } from '../select.ts';
import { followLogs } from './follow.ts';

export const command = defineCommand({
  args: { name: one('NAME', 'machine') },
  flags: {
    follow: toggle('go on with what comes', { short: 'f' }),
    tail: parsed('N', parseCount(0, 10_000_000), 'only the last N lines', { short: 'n' }),
    timestamps: toggle('with the time of each line', { short: 't' }),
  },
  examples: ['logs web', 'logs web -f --tail 20', 'logs web --json --tail 1'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    await followLogs(context, machine.id, { ...flags, signal: context.signal });
    return context.signal.aborted ? interruptedExit : 0;
  },
});
