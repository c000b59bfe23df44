/** One transaction of a table of ours, with what the kernel says against it in the project's errors. */
import { CenoteError } from '../../base/errors.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import { NftablesError } from '../../sys/nftables-error.ts';
import { elementOf } from './set-shapes.ts';
import type { SetShape } from './set-shapes.ts';

/** Elements of one set, as nft's language writes them. */
export interface SetChange {
  verb: 'add' | 'create' | 'delete';
  set: string;
  shape: SetShape;
  elements: readonly string[];
}

/** `inUse`: what it means when there is already what is to be created. */
export const transact = (work: () => void, inUse?: string): void => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof NftablesError)) throw error;
    const context = { details: error.details };
    if (inUse !== undefined && error.kind === 'exists') throw new CenoteError('in_use', inUse, { cause: error, context });
    throw new CenoteError('failed', error.message, { cause: error, context });
  }
};

export const changeSets = (nftables: NftRunner, table: string, changes: readonly SetChange[]): void =>
  nftables.change(changes.map(({ verb, set, shape, elements }) => ({ verb, table, set, elements: elements.map((text) => elementOf(shape, text)) })));
