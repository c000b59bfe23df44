import { CenoteError } from '../../base/errors.ts';
import { checkResourceName } from '../../model/names.ts';
import { formatPackage } from '../format.ts';
import { defineCommand, one } from '../command.ts';
import { describeResources, givenResources, resourceFlags } from '../machine/resource-flags.ts';

export const command = defineCommand({
  detail: 'CPU, memory and disk are wanted; the rest is as a machine without a package has it. Without ceilings a machine may take what the pool has spare.',
  args: { name: one('NAME') },
  flags: resourceFlags,
  examples: ['package create large --cpu 2 --memory 4G --disk 50G', 'package create capped --cpu 1 --cpu-ceiling 1 --memory 1G --memory-ceiling 1G --disk 10G'],
  run: async ({ args, flags }, context) => {
    const name = checkResourceName('NAME', args.name);
    const given = givenResources(flags) ?? {};
    const { cpuMillis, memoryMib, diskMib } = given;
    if (cpuMillis === undefined || memoryMib === undefined || diskMib === undefined) {
      const missing = [cpuMillis === undefined && '--cpu', memoryMib === undefined && '--memory', diskMib === undefined && '--disk'].filter(
        (flag) => flag !== false,
      );
      throw new CenoteError('invalid_argument', `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`, {
        fields: missing.map((field) => ({ field, message: 'is missing' })),
      });
    }
    const made = await (await context.control()).packageCreate({ name, resources: given }, { signal: context.signal });
    if (flags.json) context.output.json(made);
    else context.output.line(`created package ${formatPackage(made)}: ${describeResources(made.resources)}`);
  },
});
