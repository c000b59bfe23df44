import { asCenoteError } from '../../base/errors.ts';
import type { KeyOwner } from '../../client/signer.ts';
import { defineCommand } from '../command.ts';
import { localProfile } from '../config.ts';
import { chosenProfile, profileGet, profileNames } from './store.ts';

interface Row {
  name: string;
  chosen: boolean;
  account: string;
  url: string;
}

const ownerOf = ({ account, user }: KeyOwner): string => (user === undefined ? account : `${account}/${user}`);

export const command = defineCommand({
  detail: 'The one marked with * is used; `local` is the instance on this host.',
  args: {},
  flags: {},
  examples: ['profile ls'],
  run: async ({ flags }, { config, output }) => {
    const chosen = chosenProfile(config);
    const rows: Row[] = [{ name: localProfile, chosen: chosen === undefined, account: '-', url: config.controlSocket }];
    for (const name of await profileNames(config)) {
      const about = await profileGet(config, name).catch((error: unknown) => ({ account: '-', url: asCenoteError(error).message }));
      rows.push({ name, chosen: name === chosen, account: ownerOf(about), url: about.url });
    }
    if (flags.json) return output.json(rows);
    output.table(rows, [
      { title: 'NAME', cell: ({ name, chosen }) => (chosen ? `${name} *` : name) },
      { title: 'ACCOUNT', cell: ({ account }) => account },
      { title: 'URL', cell: ({ url }) => url },
    ]);
  },
});
