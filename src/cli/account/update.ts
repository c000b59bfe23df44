import { invalid } from '../../base/errors.ts';
import { defineCommand, one, parsed, value } from '../command.ts';
import { parseSwitch } from '../values.ts';
import { givenQuota, quotaFlags } from './quota-flags.ts';

export const command = defineCommand({
  detail: 'What is not given stays. An account that has more already keeps it, and gets no more.',
  args: { account: one('ACCOUNT', 'account') },
  flags: {
    email: value('ADDRESS', 'where its owner can be reached'),
    dns: parsed('on|off', parseSwitch, 'whether its machines have names in the DNS', { complete: ['on', 'off'] }),
    ...quotaFlags,
  },
  examples: ['account update alice --max-machines 20 --max-memory 16G', 'account update alice --max-cpu none', 'account update alice --dns off'],
  run: async ({ args, flags }, context) => {
    const quota = givenQuota(flags);
    if (quota === undefined && flags.email === undefined && flags.dns === undefined)
      throw invalid('ACCOUNT', 'nothing to change', 'see: cenote account update --help');
    const changed = await (
      await context.control()
    ).accountUpdate(
      args.account,
      {
        ...(quota === undefined ? {} : { quota }),
        ...(flags.email === undefined ? {} : { profile: { email: flags.email } }),
        ...(flags.dns === undefined ? {} : { namesEnabled: flags.dns }),
      },
      { signal: context.signal },
    );
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated account ${changed.name}`);
  },
});
