import { defineCommand, toggle } from '../command.ts';
import { setupOptions } from './setup-options.ts';

export const command = defineCommand({
  detail: 'Machines go on without the services; up brings these back.',
  args: {},
  flags: { machines: toggle('stop the machines too') },
  examples: ['down', 'down --machines'],
  run: async ({ flags }, context) => {
    const { runDown } = await import('../../setup/commands.ts');
    return runDown({ ...setupOptions(context, flags.json), machines: flags.machines });
  },
});
