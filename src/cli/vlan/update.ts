import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one, value } from '../command.ts';
import { vlanNumber } from './number.ts';

export const command = defineCommand({
  args: { vlan: one('VLAN') },
  flags: { name: value('NAME', 'another name'), description: value('TEXT', 'what it is for', { short: 'd' }) },
  examples: ['vlan update 100 --name store'],
  run: async ({ args, flags }, context) => {
    const body = {
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
    };
    if (Object.keys(body).length === 0) throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    const changed = await (await context.control()).vlanUpdate(vlanNumber(args.vlan), body, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated VLAN ${changed.id}, ${changed.name}`);
  },
});
