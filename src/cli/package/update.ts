import { CenoteError } from '../../base/errors.ts';
import { checkResourceName } from '../../model/names.ts';
import { formatPackage } from '../format.ts';
import { defineCommand, one } from '../command.ts';
import { describeResources, givenResources, resourceFlagNames, resourceFlags } from '../machine/resource-flags.ts';

export const command = defineCommand({
  detail:
    'A version never changes: this makes the next one, which the name alone means from then on. Machines keep the version they have until they are resized to another.',
  args: { package: one('PACKAGE', 'package') },
  flags: resourceFlags,
  examples: ['package update large --memory 8G', 'package update large --cpu-ceiling 4 --net-ceiling none'],
  run: async ({ args, flags }, context) => {
    const name = checkResourceName('PACKAGE', args.package);
    const resources = givenResources(flags);
    if (resources === undefined) throw new CenoteError('invalid_argument', 'nothing to change', { advice: `give one of ${resourceFlagNames}` });
    const made = await (await context.control()).packageUpdate(name, { resources }, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`${name} is now ${formatPackage(made)}: ${describeResources(made.resources)}`);
  },
});
