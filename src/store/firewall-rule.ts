/** Firewall rules: an account's own, and the operator's, which are about everybody's machines and which everybody sees that they apply to. */
import type { Selectable } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { FirewallRuleTable } from './schema.ts';
import type { Db } from './store.ts';

export interface StoredRule {
  id: string;
  account: string | null;
  rule: string;
  enabled: boolean;
  log: boolean;
  weight: number;
  description: string | null;
  createdAt: string;
}

const storedOf = ({ enabled, log, created_at: createdAt, ...row }: Selectable<FirewallRuleTable>): StoredRule => ({
  ...row,
  enabled: enabled !== 0,
  log: log !== 0,
  createdAt,
});

const rowOf = ({ enabled, log, createdAt, ...stored }: StoredRule): FirewallRuleTable => ({
  ...stored,
  enabled: enabled ? 1 : 0,
  log: log ? 1 : 0,
  created_at: createdAt,
});

/** An operator's rule is made, changed and deleted by operators. */
const authorizeOwner = (context: RequestContext, { account }: StoredRule): void => authorize(context, account === null ? 'operate' : 'write');

export const firewallRuleInsert = async (context: RequestContext, db: Db, stored: StoredRule): Promise<void> => {
  authorizeOwner(context, stored);
  await db.insertInto('firewall_rule').values(rowOf(stored)).execute();
};

export const firewallRuleSave = async (context: RequestContext, db: Db, stored: StoredRule): Promise<void> => {
  authorizeOwner(context, stored);
  const { id, ...columns } = rowOf(stored);
  await db.updateTable('firewall_rule').set(columns).where('id', '=', id).execute();
};

export const firewallRuleDelete = async (context: RequestContext, db: Db, stored: StoredRule): Promise<void> => {
  authorizeOwner(context, stored);
  await db.deleteFrom('firewall_rule').where('id', '=', stored.id).execute();
};

/** Of an account that goes; gives their ids. */
export const firewallRuleDeleteAll = async (context: RequestContext, db: Db, account: string): Promise<string[]> => {
  authorize(context, 'operate');
  const rows = await db.selectFrom('firewall_rule').select('id').where('account', '=', account).execute();
  await db.deleteFrom('firewall_rule').where('account', '=', account).execute();
  return rows.map(({ id }) => id);
};

/** The account's own, or an operator's. */
export const firewallRuleGet = async (context: RequestContext, db: Db, id: string): Promise<StoredRule> => {
  authorize(context, 'read');
  const row = await db
    .selectFrom('firewall_rule')
    .selectAll()
    .where('id', '=', id)
    .where((where) => where.or([where('account', '=', context.account), where('account', 'is', null)]))
    .executeTakeFirst();
  if (row === undefined) throw new CenoteError('not_found', `there is no firewall rule ${JSON.stringify(id.slice(0, 80))}`);
  return storedOf(row);
};

/** All that may be about an account's machines, in the order in which they were made: its own, and the operator's. */
export const firewallRuleList = async (context: RequestContext, db: Db): Promise<StoredRule[]> => {
  authorize(context, 'read');
  const rows = await db
    .selectFrom('firewall_rule')
    .selectAll()
    .where((where) => where.or([where('account', '=', context.account), where('account', 'is', null)]))
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map(storedOf);
};

/** How many the account has, and what they cost; null asks for the operator's. */
export const firewallRuleLoad = async (context: RequestContext, db: Db, account: string | null): Promise<{ count: number; weight: number }> => {
  authorize(context, 'read');
  let query = db.selectFrom('firewall_rule').select(({ fn }) => [fn.countAll<number>().as('count'), fn.sum<number>('weight').as('weight')]);
  query = account === null ? query.where('account', 'is', null) : query.where('account', '=', account);
  const { count, weight } = await query.executeTakeFirstOrThrow();
  return { count: Number(count), weight: Number(weight ?? 0) };
};

/** Everybody's that are to be applied, or those of these ids. */
export const firewallRuleEnabled = async (context: RequestContext, db: Db, ids: readonly string[] | null): Promise<StoredRule[]> => {
  authorize(context, 'keep');
  let query = db.selectFrom('firewall_rule').selectAll().where('enabled', '=', 1);
  if (ids !== null) query = query.where('id', 'in', ids);
  return (await query.execute()).map(storedOf);
};
