import { defineCommand, toggle } from '../command.ts';
import { setupOptions } from './setup-options.ts';

export const command = defineCommand({
  detail: 'All machines and their data, the storage, the network and the services. Packages stay. Without --yes it only says what would go.',
  args: {},
  flags: { yes: toggle('do it', { short: 'y' }) },
  examples: ['destroy', 'destroy --yes', '--root /srv/second destroy --yes'],
  run: async ({ flags }, context) => {
    const { runDestroy } = await import('../../setup/commands.ts');
    return runDestroy({ ...setupOptions(context, flags.json), yes: flags.yes });
  },
});
