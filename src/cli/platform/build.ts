import { CenoteError, invalid } from '../../base/errors.ts';
import { formatMib } from '../../base/units.ts';
import type { Platform } from '../../model/image.ts';
import { checkResourceName } from '../../model/names.ts';
import { defineCommand, many, value } from '../command.ts';

const parsePackages = (field: string, text: string): string[] =>
  text.split(',').map((word) => {
    if (!/^[a-z0-9][a-z0-9+.-]{1,127}$/.test(word)) throw invalid(field, `${JSON.stringify(word)} is not the name of a Debian package`);
    return word;
  });

export const command = defineCommand({
  detail: "Made of Debian's packages; takes minutes. Each build is a new version; machines stay on theirs until platform update.",
  args: {},
  flags: { name: value('NAME', 'name of the platform'), include: many('PKG,…', parsePackages, 'Debian packages besides the smallest system') },
  examples: ['platform build --name web --include nginx,ca-certificates'],
  run: async ({ flags }, context) => {
    if (flags.name === undefined) throw new CenoteError('invalid_argument', '--name is missing', { fields: [{ field: '--name', message: 'is missing' }] });
    const name = checkResourceName('--name', flags.name);
    const { output, signal } = context;
    using progress = output.progress(`building ${name}`);
    let built: Platform | undefined;
    const stream = (await context.control()).platformBuild({ name, include: flags.include.flat() }, { signal });
    for await (const steps of stream) {
      for (const step of steps) {
        if (step.error !== undefined) throw CenoteError.fromBody(step.error as Parameters<typeof CenoteError.fromBody>[0]);
        built = step.platform ?? built;
        progress.update(`building ${name}: ${step.message}`);
      }
    }
    if (built === undefined) throw new CenoteError('failed', `the build of ${name} ended without a word`, { advice: 'see what there is: cenote platform ls' });
    if (flags.json) output.json(built);
    else output.line(`built ${built.name}@${built.version}: ${built.description}, ${formatMib(built.sizeMib)}`);
  },
});
