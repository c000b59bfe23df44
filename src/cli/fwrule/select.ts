/** Firewall rules by id, or the beginning of one. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import type { FirewallRule } from '../../model/firewall/wire.ts';
import type { Context } from '../context.ts';

export const selectRule = async (context: Context, word: string): Promise<FirewallRule> => {
  const control = await context.control();
  if (isUuid(word)) return control.firewallRuleGet(word, { signal: context.signal });
  if (!/^[0-9a-f-]{4,35}$/.test(word)) throw invalid('RULE', `${JSON.stringify(word)} is no id of a rule`, 'see their ids: cenote fwrule ls');
  const found = (await control.firewallRuleList({ signal: context.signal })).filter(({ id }) => id.startsWith(word));
  if (found.length > 1) throw invalid('RULE', `${JSON.stringify(word)} is the beginning of ${found.length} ids`, 'write more of it');
  if (found[0] === undefined) throw new CenoteError('not_found', `no firewall rule ${JSON.stringify(word)}`, { advice: 'see what there is: cenote fwrule ls' });
  return found[0];
};

/** What a person should know of a rule that was just changed. */
export const notInForce = ({ applied, enabled }: FirewallRule): string => (applied || !enabled ? '' : '; not in force yet: the host has not taken it over');
