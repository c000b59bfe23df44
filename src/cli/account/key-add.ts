import { defineCommand, one, value } from '../command.ts';
import { readKeyFile } from './key-file.ts';

export const command = defineCommand({
  detail: 'FILE holds a public key as OpenSSH writes it; - is standard input. It holds from the next request on.',
  args: { account: one('ACCOUNT', 'account'), file: one('FILE', 'file') },
  flags: { name: value('NAME', "what it is called; by default the key's own comment") },
  examples: ['account key add alice ~/.ssh/id_ed25519.pub', 'account key add default ~/.ssh/id_rsa.pub --name laptop'],
  run: async ({ args, flags }, context) => {
    const key = await readKeyFile('FILE', args.file);
    const added = await (
      await context.control()
    ).keyAdd(args.account, { key, ...(flags.name === undefined ? {} : { name: flags.name }) }, { signal: context.signal });
    if (flags.json) context.output.json(added);
    else context.output.line(`added key ${added.name} (${added.fingerprint})`);
  },
});
