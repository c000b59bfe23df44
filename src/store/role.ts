/** Policies, roles, and which resources a role is for: always those of the caller's own account. */
import { CenoteError } from '../base/errors.ts';
import type { Policy, Role } from '../model/access.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { AccessPolicyTable } from './schema.ts';
import type { Db } from './store.ts';

const policyOf = (row: AccessPolicyTable): Policy => ({
  id: row.id,
  account: row.account,
  name: row.name,
  description: row.description,
  rules: JSON.parse(row.rules) as string[],
  createdAt: row.created_at,
});

const taken = (what: string, name: string): CenoteError => {
  const message = `there is already a ${what} ${JSON.stringify(name)}`;
  return new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
};

export const policySave = async (context: RequestContext, db: Db, policy: Policy): Promise<void> => {
  authorize(context, 'write');
  const { id, name, description, createdAt } = policy;
  const holder = await db.selectFrom('access_policy').select('id').where('account', '=', context.account).where('name', '=', name).executeTakeFirst();
  if (holder !== undefined && holder.id !== id) throw taken('policy', name);
  const changes = { name, description, rules: JSON.stringify(policy.rules) };
  await db
    .insertInto('access_policy')
    .values({ id, account: context.account, created_at: createdAt, ...changes })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(changes))
    .execute();
};

export const policyList = async (context: RequestContext, db: Db): Promise<Policy[]> => {
  authorize(context, 'read');
  return (await db.selectFrom('access_policy').selectAll().where('account', '=', context.account).orderBy('name').execute()).map(policyOf);
};

export const policyGet = async (context: RequestContext, db: Db, idOrName: string): Promise<Policy> => {
  authorize(context, 'read');
  const found = (await policyList(context, db)).find(({ id, name }) => id === idOrName || name === idOrName);
  if (found === undefined) throw new CenoteError('not_found', `there is no policy ${JSON.stringify(idOrName.slice(0, 80))}`);
  return found;
};

export const policyDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('access_policy').where('id', '=', id).where('account', '=', context.account).execute();
};

/** With its policies and members, which are what the role says they are. */
export const roleSave = async (context: RequestContext, db: Db, role: Role): Promise<void> => {
  authorize(context, 'write');
  const { id, name, createdAt } = role;
  const holder = await db.selectFrom('access_role').select('id').where('account', '=', context.account).where('name', '=', name).executeTakeFirst();
  if (holder !== undefined && holder.id !== id) throw taken('role', name);
  await db
    .insertInto('access_role')
    .values({ id, account: context.account, name, created_at: createdAt })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ name }))
    .execute();
  await db.deleteFrom('role_policy').where('role', '=', id).execute();
  await db.deleteFrom('role_member').where('role', '=', id).execute();
  for (const policy of role.policies) await db.insertInto('role_policy').values({ role: id, policy: policy.id }).execute();
  for (const member of role.members)
    await db
      .insertInto('role_member')
      .values({ role: id, member: member.id, by_default: member.byDefault ? 1 : 0 })
      .execute();
};

export const roleList = async (context: RequestContext, db: Db): Promise<Role[]> => {
  authorize(context, 'read');
  const { account } = context;
  const roles = await db.selectFrom('access_role').selectAll().where('account', '=', account).orderBy('name').execute();
  const policies = await db
    .selectFrom('role_policy')
    .innerJoin('access_policy', 'access_policy.id', 'role_policy.policy')
    .select(['role_policy.role', 'access_policy.id', 'access_policy.name'])
    .where('access_policy.account', '=', account)
    .orderBy('access_policy.name')
    .execute();
  const members = await db
    .selectFrom('role_member')
    .innerJoin('account_user', 'account_user.id', 'role_member.member')
    .select(['role_member.role', 'role_member.by_default', 'account_user.id', 'account_user.login'])
    .where('account_user.account', '=', account)
    .orderBy('account_user.login')
    .execute();
  return roles.map(({ id, name, created_at: createdAt }) => ({
    id,
    account,
    name,
    createdAt,
    policies: policies.filter(({ role }) => role === id).map((policy) => ({ id: policy.id, name: policy.name })),
    members: members.filter(({ role }) => role === id).map((member) => ({ id: member.id, login: member.login, byDefault: member.by_default !== 0 })),
  }));
};

export const roleGet = async (context: RequestContext, db: Db, idOrName: string): Promise<Role> => {
  authorize(context, 'read');
  const found = (await roleList(context, db)).find(({ id, name }) => id === idOrName || name === idOrName);
  if (found === undefined) throw new CenoteError('not_found', `there is no role ${JSON.stringify(idOrName.slice(0, 80))}`);
  return found;
};

export const roleDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('access_role').where('id', '=', id).where('account', '=', context.account).execute();
};

/** Whether any resource of the account is for a role. */
export const roleTagAny = async (context: RequestContext, db: Db): Promise<boolean> => {
  authorize(context, 'read');
  return (await db.selectFrom('role_tag').select('role').where('account', '=', context.account).limit(1).executeTakeFirst()) !== undefined;
};

/** Names of the roles that a resource, such as `machines/ID`, is for. */
export const roleTagList = async (context: RequestContext, db: Db, resource: string): Promise<{ id: string; name: string }[]> => {
  authorize(context, 'read');
  return db
    .selectFrom('role_tag')
    .innerJoin('access_role', 'access_role.id', 'role_tag.role')
    .select(['access_role.id', 'access_role.name'])
    .where('role_tag.account', '=', context.account)
    .where('role_tag.resource', '=', resource)
    .orderBy('access_role.name')
    .execute();
};

/** Resources of some roles. */
export const roleTagResources = async (context: RequestContext, db: Db, roles: readonly string[]): Promise<string[]> => {
  authorize(context, 'read');
  if (roles.length === 0) return [];
  const rows = await db.selectFrom('role_tag').select('resource').where('account', '=', context.account).where('role', 'in', roles).execute();
  return rows.map(({ resource }) => resource);
};

export const roleTagReplace = async (context: RequestContext, db: Db, resource: string, roles: readonly string[]): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('role_tag').where('account', '=', context.account).where('resource', '=', resource).execute();
  for (const role of new Set(roles)) await db.insertInto('role_tag').values({ account: context.account, resource, role }).execute();
};
