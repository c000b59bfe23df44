import { checkAccountName } from '../../model/names.ts';
import { defineCommand, many, one, value } from '../command.ts';
import { quoteWords } from '../format.ts';
import { privateKeyOf, readKeyFile } from './key-file.ts';
import { givenQuota, quotaFlags } from './quota-flags.ts';

export const command = defineCommand({
  detail: 'An account has machines of its own and sees no others. Whoever holds one of its keys acts for it, from anywhere, through CloudAPI.',
  args: { name: one('NAME') },
  flags: {
    key: many('FILE', (_field, word) => word, 'an SSH public key (RSA, ECDSA, ed25519); - is standard input', { complete: 'file' }),
    email: value('ADDRESS', 'where its owner can be reached'),
    ...quotaFlags,
  },
  examples: ['account create alice --key ~/.ssh/id_ed25519.pub', 'account create build --key a.pub --key b.pub --email ops@example.com'],
  run: async ({ args, flags }, context) => {
    const name = checkAccountName('NAME', args.name);
    const keys = await Promise.all(flags.key.map(async (path) => ({ key: await readKeyFile('--key', path) })));
    const profile = flags.email === undefined ? {} : { email: flags.email };
    const control = await context.control();
    const quota = givenQuota(flags) ?? {};
    const account = await control.accountCreate({ name, profile, quota, keys }, { signal: context.signal });
    if (flags.json) {
      context.output.json(account);
      return;
    }
    context.output.line(`created account ${account.name}`);
    const { cloudapi, fingerprint } = await control.info({ signal: context.signal });
    if (keys.length === 0) context.output.line(`  it is known by no key yet: cenote account key add ${account.name} ~/.ssh/id_ed25519.pub`);
    else if (cloudapi !== null) {
      const [key] = await control.keyList(account.id, { signal: context.signal });
      context.output.line('To use it with triton:');
      context.output.line(`  export TRITON_URL=${cloudapi} TRITON_ACCOUNT=${account.name} TRITON_KEY_ID=${key!.fingerprint}`);
      context.output.line('With cenote:');
      const trusted = fingerprint === null ? '' : ` --trust ${fingerprint}`;
      const privateKey = flags.key.map(privateKeyOf).find((path) => path !== undefined);
      const by = privateKey === undefined ? '' : ` --key ${quoteWords([privateKey])}`;
      context.output.line(`  cenote profile create ${account.name} --url ${cloudapi} --account ${account.name}${by}${trusted}`);
      if (by === '') context.output.line('  (where the private key lies elsewhere than in ~/.ssh or the SSH agent, with --key FILE)');
    }
  },
});
