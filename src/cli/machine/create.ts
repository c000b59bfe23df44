import { shortId } from '../../base/ids.ts';
import { defineCommand, one } from '../command.ts';
import { jobMilliseconds } from '../jobs.ts';
import { formatPublish } from '../values.ts';
import { createFlags, createMachine, startFlags } from './create-machine.ts';

export const command = defineCommand({
  detail:
    "Without a command after --, the image's own is run. With --from-snapshot, what is not said (image, platform, command, environment, resources, restart policy, grace, firewall, user-script) is as the snapshot's machine has it now; name, tags, published ports, networks and other metadata are not taken along.",
  args: { name: one('NAME') },
  flags: { ...createFlags, ...startFlags },
  trailing: 'after-dashes',
  examples: [
    'create box',
    'create web --image node --code ./app --publish 8080:3000 -- node server.js',
    'create db --memory 512M --disk 20G --restart always --env-file db.env',
    'create copy --from-snapshot db@before',
  ],
  run: async ({ args, flags, command: words }, context) => {
    const start = !flags.noStart;
    const accepted = await createMachine(context, { name: args.name, flags, command: words, start });
    if (flags.json) return context.output.json(accepted);
    const machine = accepted.machine!;
    const ports = machine.publish.length === 0 ? '' : `, published ${machine.publish.map(formatPublish).join(' ')}`;
    context.output.line(
      `${start ? 'created and started' : 'created'} ${machine.name} (${shortId(machine.id)}) in ${jobMilliseconds(accepted.job)} ms: ${machine.address}${ports}`,
    );
  },
});
