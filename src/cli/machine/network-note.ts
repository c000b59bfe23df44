import type { Context } from '../context.ts';
import { formatMbps } from '../format.ts';
import { chosenProfile } from '../profile/store.ts';

/** A guarantee of the network is set aside of what the uplink carries; where nobody has said how much that is, it is only noted down. What that is, is the operator's. */
export const noteUnheldNetwork = async (context: Context, asked: number | undefined): Promise<void> => {
  if (asked === undefined || asked === 0 || chosenProfile(context.config) !== undefined) return;
  const { agent } = await (await context.control()).info({ signal: context.signal });
  if (agent === null || agent.pool.networkMbps !== null) return;
  context.output.note(`nothing holds ${formatMbps(asked)} for it: what the uplink carries is not known (cenote up --net-capacity)`);
};
