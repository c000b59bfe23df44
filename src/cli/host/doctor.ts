import { defineCommand } from '../command.ts';
import { setupOptions } from './setup-options.ts';

export const command = defineCommand({
  args: {},
  flags: {},
  examples: ['doctor', 'doctor --json'],
  run: async ({ flags }, context) => {
    const { runDoctor } = await import('../../setup/commands.ts');
    return runDoctor(setupOptions(context, flags.json));
  },
});
