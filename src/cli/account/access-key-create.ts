import type { ControlInfo } from '../../model/control-api.ts';
import { defineCommand, one, toggle, value } from '../command.ts';
import { quoteWords } from '../format.ts';
import { ofUser } from './of-user.ts';
import { newSecretFile } from './secret-file.ts';

export const command = defineCommand({
  detail: [
    'A program without an SSH key signs its requests with it (hmac-sha256): `profile create --access-key` does. It holds until it is made inactive or deleted.',
    'The secret is shown once, or written to a new file that its owner alone may read.',
  ].join('\n'),
  args: { account: one('ACCOUNT', 'account') },
  flags: {
    user: ofUser,
    description: value('TEXT', 'what it is for', { short: 'd' }),
    inactive: toggle('do not let it in yet'),
    secretFile: value('FILE', 'write the secret there, and do not show it', { complete: 'file' }),
  },
  examples: ['account accesskey create alice -d "builds" --secret-file ~/.cenote-secret', 'account accesskey create alice --user carol --json'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const { user, description } = flags;
    const wish = { active: !flags.inactive, ...(description === undefined ? {} : { description }) };
    const holder = { account: args.account, user };
    await using file = flags.secretFile === undefined ? undefined : await newSecretFile('--secret-file', flags.secretFile);
    const { secret, ...made } = await control.accessKeyCreate(holder, wish, { signal: context.signal });
    await file?.keep(secret).catch(async (error: unknown) => {
      // A secret that nobody has opens nothing.
      await control.accessKeyDelete(holder, made.id);
      throw error;
    });
    if (flags.json) return context.output.json(file === undefined ? { ...made, secret } : made);
    context.output.line(`created access key ${made.id}${made.active ? '' : ', inactive'}`);
    context.output.line(file === undefined ? `  secret ${secret} (it is not shown again)` : `  its secret is in ${file.path}`);
    const line = profileLine(await control.info({ signal: context.signal }), args.account, user, made.id, file?.path);
    if (line !== undefined) context.output.line(`To use it:\n  ${line}`);
  },
});

/** Undefined where nothing is served to others. */
const profileLine = ({ cloudapi, fingerprint }: ControlInfo, account: string, user: string | undefined, id: string, path = 'FILE'): string | undefined =>
  cloudapi === null
    ? undefined
    : quoteWords([
        'cenote',
        'profile',
        'create',
        user ?? account,
        '--url',
        cloudapi,
        '--account',
        account,
        ...(user === undefined ? [] : ['--user', user]),
        '--access-key',
        id,
        '--secret-file',
        path,
        ...(fingerprint === null ? [] : ['--trust', fingerprint]),
      ]);
