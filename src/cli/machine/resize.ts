import { CenoteError } from '../../base/errors.ts';
import type { Accepted } from '../../model/control-api.ts';
import { defineCommand, one, value } from '../command.ts';
import { finishJob, jobMilliseconds, noWait } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import { noteUnheldNetwork } from './network-note.ts';
import { describeResources, givenResources, resourceFlagNames, resourceFlags } from './resource-flags.ts';

export const command = defineCommand({
  detail: 'What is left out stays as it is. It happens wholly or not at all, and nothing is restarted or killed for it.',
  args: { name: one('NAME', 'machine') },
  flags: { package: value('PACKAGE', 'take all from a package', { complete: 'package' }), ...resourceFlags, noWait },
  examples: ['resize web --memory 512M', 'resize web --cpu 2 --cpu-ceiling none', 'resize web --package large'],
  run: async ({ args, flags }, context) => {
    const resources = givenResources(flags);
    if (resources === undefined && flags.package === undefined) {
      throw new CenoteError('invalid_argument', 'nothing to change', {
        advice: `give a package, or one of ${resourceFlagNames}`,
      });
    }
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const body = { ...(flags.package === undefined ? {} : { package: flags.package }), ...(resources === undefined ? {} : { resources }) };
    const ask = (options: { wait?: number; signal: AbortSignal }): Promise<Accepted> => control.machineResize(machine.id, body, options);
    if (flags.noWait) {
      const pending = await ask({ signal: context.signal });
      if (flags.json) context.output.json(pending);
      else context.output.line(`resizing ${machine.name}: job ${pending.job.id}`);
      return;
    }
    await noteUnheldNetwork(context, flags.net);
    const accepted = await finishJob(context, { doing: `resizing ${machine.name}`, machine: machine.name }, ask);
    if (flags.json) return context.output.json(accepted);
    context.output.line(`resized ${machine.name} in ${jobMilliseconds(accepted.job)} ms: ${describeResources(accepted.machine!.resources)}`);
  },
});
