/** Networks by name, id, or the beginning of an id. */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Network } from '../../model/network-api.ts';
import type { Context } from '../context.ts';

/** A network, or a pool of them. */
export const selectPlace = async (context: Context, word: string): Promise<{ id: string; name: string }> => {
  const pools = await (await context.control()).networkPoolList({ signal: context.signal });
  return pools.find(({ id, name }) => id === word || name === word) ?? selectNetwork(context, word);
};

export const selectNetwork = async (context: Context, word: string): Promise<Network> => {
  const networks = await (await context.control()).networkList({ signal: context.signal });
  // Of one name the account's own, as the control plane has it.
  const named = networks.findLast(({ id, name }) => id === word || name === word);
  if (named !== undefined) return named;
  const found = /^[0-9a-f-]{4,35}$/.test(word) ? networks.filter(({ id }) => id.startsWith(word)) : [];
  if (found.length > 1) throw invalid('NETWORK', `${JSON.stringify(word)} is the beginning of ${found.length} ids`, 'write more of it');
  if (found[0] === undefined)
    throw new CenoteError('not_found', `no network ${JSON.stringify(word.slice(0, 80))}`, { advice: 'see what there is: cenote network ls' });
  return found[0];
};
