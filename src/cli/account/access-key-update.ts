import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one, parsed, value } from '../command.ts';
import { parseSwitch } from '../values.ts';
import { ofUser } from './of-user.ts';

export const command = defineCommand({
  detail: 'It holds from the next request on. To exchange one for another: make the other, use it, make the old one inactive, look, delete it.',
  args: { account: one('ACCOUNT', 'account'), key: one('KEY') },
  flags: {
    user: ofUser,
    active: parsed('on|off', parseSwitch, 'whether what it signs is let in', { complete: ['on', 'off'] }),
    description: value('TEXT', 'what it is for; nothing takes it away', { short: 'd' }),
  },
  examples: ['account accesskey update alice CNAK7H2M4Q8R0T3VXYZ1 --active off'],
  run: async ({ args, flags }, context) => {
    const { active, description } = flags;
    const wish = { ...(active === undefined ? {} : { active }), ...(description === undefined ? {} : { description }) };
    if (Object.keys(wish).length === 0) throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    const changed = await (await context.control()).accessKeyUpdate({ account: args.account, user: flags.user }, args.key, wish, { signal: context.signal });
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated access key ${changed.id}: ${changed.active ? 'active' : 'inactive'}`);
  },
});
