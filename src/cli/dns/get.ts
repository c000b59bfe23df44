import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  detail: "A name whole, or without its end: web, web.inst, db.svc.alice. What is told of other accounts' names is for `dig`.",
  args: { name: one('NAME') },
  flags: {},
  examples: ['dns get web', 'dns get db.svc', 'dns get web.inst.default.main.cenote.internal --json'],
  run: async ({ args, flags }, context) => {
    const wanted = args.name.toLowerCase().replace(/\.$/, '');
    const records = await (await context.control()).nameList({}, { signal: context.signal });
    const exact = records.filter(({ name }) => name === wanted);
    const found = exact.length > 0 ? exact : records.filter(({ name }) => name.startsWith(`${wanted}.`));
    if (found.length === 0)
      throw new CenoteError('not_found', `there is no name ${JSON.stringify(args.name.slice(0, 80))} of the account`, {
        advice: 'see what there is: cenote dns ls',
      });
    if (flags.json) return context.output.json(found);
    for (const { name, ttl, type, value } of found) context.output.line(`${name}. ${ttl} IN ${type} ${value}`);
  },
});
