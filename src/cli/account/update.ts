import { invalid } from '../../base/errors.ts';
import { defineCommand, one, value } from '../command.ts';
import { givenQuota, quotaFlags } from './quota-flags.ts';

export const command = defineCommand({
  detail: 'What is not given stays. An account that has more already keeps it, and gets no more.',
  args: { account: one('ACCOUNT', 'account') },
  flags: { email: value('ADDRESS', 'where its owner can be reached'), ...quotaFlags },
  examples: ['account update alice --max-machines 20 --max-memory 16G', 'account update alice --max-cpu none'],
  run: async ({ args, flags }, context) => {
    const quota = givenQuota(flags);
    if (quota === undefined && flags.email === undefined) throw invalid('ACCOUNT', 'nothing to change', 'see: cenote account update --help');
    const changed = await (
      await context.control()
    ).accountUpdate(
      args.account,
      { ...(quota === undefined ? {} : { quota }), ...(flags.email === undefined ? {} : { profile: { email: flags.email } }) },
      { signal: context.signal },
    );
    if (flags.json) context.output.json(changed);
    else context.output.line(`updated account ${changed.name}`);
  },
});
