/** One transaction of a table of ours, with what the kernel says against it in the project's errors. */
import { CenoteError } from '../../base/errors.ts';
import { NftablesError } from '../../sys/nftables.ts';
import type { NftRunner } from '../../sys/nftables.ts';

/** `inUse`: what it means when there is already what is to be created. */
export const transact = (nftables: NftRunner, commands: string, inUse?: string): void => {
  if (commands === '') return;
  try {
    nftables.run(commands);
  } catch (error) {
    if (!(error instanceof NftablesError)) throw error;
    const context = { details: error.details };
    if (inUse !== undefined && error.kind === 'exists') throw new CenoteError('in_use', inUse, { cause: error, context });
    throw new CenoteError('failed', error.message, { cause: error, context });
  }
};
