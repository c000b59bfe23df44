/** From a profile to a client of the control plane that it names. */
import { ControlClient } from '../../client/control.ts';
import { Remote } from '../../client/remote.ts';
import { openSigner } from '../../client/signer.ts';
import type { CliConfig } from '../config.ts';
import { profileGet } from './store.ts';
import type { Profile } from './store.ts';

export const connectTo = async ({ url, account, user, key, trust }: Profile, config: CliConfig): Promise<ControlClient> => {
  const signer = await openSigner(key, config);
  return new ControlClient(
    new Remote({ url, account, user, signer, trust }),
    `see the network between here and ${new URL(url).host}, and whether it runs there: cenote doctor`,
  );
};

export const connectToNamed = async (name: string, config: CliConfig): Promise<ControlClient> => connectTo(await profileGet(config, name), config);
