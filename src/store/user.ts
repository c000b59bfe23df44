/** Users of an account and their keys: always those of the caller's own account. */
import { CenoteError } from '../base/errors.ts';
import type { User } from '../model/access.ts';
import type { AccountKey } from '../model/account.ts';
import { keyOf, userOf } from './account-rows.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';

import type { Db } from './store.ts';

const demandFree = async (db: Db, user: User): Promise<void> => {
  const taken = await db.selectFrom('account_user').select('id').where('account', '=', user.account).where('login', '=', user.login).executeTakeFirst();
  if (taken === undefined || taken.id === user.id) return;
  const message = `there is already a user ${JSON.stringify(user.login)}`;
  throw new CenoteError('already_exists', message, { fields: [{ field: 'login', message }] });
};

/** Also of a user that there is already, by id. */
export const userSave = async (context: RequestContext, db: Db, user: User): Promise<void> => {
  authorize(context, 'write');
  await demandFree(db, user);
  const changes = { login: user.login, profile: JSON.stringify(user.profile), updated_at: user.updatedAt };
  await db
    .insertInto('account_user')
    .values({ id: user.id, account: context.account, created_at: user.createdAt, ...changes })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(changes))
    .execute();
};

export const userList = async (context: RequestContext, db: Db): Promise<User[]> => {
  authorize(context, 'read');
  return (await db.selectFrom('account_user').selectAll().where('account', '=', context.account).orderBy('login').execute()).map(userOf);
};

export const userFind = async (context: RequestContext, db: Db, idOrLogin: string): Promise<User | undefined> => {
  authorize(context, 'read');
  const row = await db
    .selectFrom('account_user')
    .selectAll()
    .where('account', '=', context.account)
    .where(({ or, eb }) => or([eb('id', '=', idOrLogin), eb('login', '=', idOrLogin)]))
    .executeTakeFirst();
  return row === undefined ? undefined : userOf(row);
};

export const userGet = async (context: RequestContext, db: Db, idOrLogin: string): Promise<User> => {
  authorize(context, 'read');
  const found = await userFind(context, db, idOrLogin);
  if (found === undefined) throw new CenoteError('not_found', `there is no user ${JSON.stringify(idOrLogin.slice(0, 80))}`);
  return found;
};

export const userDelete = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('account_user').where('id', '=', id).where('account', '=', context.account).execute();
};

export const userKeyAdd = async (context: RequestContext, db: Db, { id }: User, key: AccountKey): Promise<AccountKey> => {
  authorize(context, 'write');
  const known = await db
    .selectFrom('user_key')
    .select('name')
    .where('member', '=', id)
    .where(({ or, eb }) => or([eb('name', '=', key.name), eb('fingerprint', '=', key.fingerprint)]))
    .executeTakeFirst();
  if (known !== undefined) {
    const message = `there is already such a key, ${JSON.stringify(known.name)}`;
    throw new CenoteError('already_exists', message, { fields: [{ field: known.name === key.name ? 'name' : 'key', message }] });
  }
  const { name, fingerprint, sha256, createdAt } = key;
  await db.insertInto('user_key').values({ member: id, name, fingerprint, sha256, public_key: key.key, created_at: createdAt }).execute();
  return key;
};

export const userKeyList = async (context: RequestContext, db: Db, { id }: User): Promise<AccountKey[]> => {
  authorize(context, 'read');
  return (await db.selectFrom('user_key').selectAll().where('member', '=', id).orderBy('name').execute()).map(keyOf);
};

const keysOfRole = new Compiled((db, { account, role }: Slots<{ account: string; role: string }>) =>
  db
    .selectFrom('access_role')
    .innerJoin('role_member', 'role_member.role', 'access_role.id')
    .innerJoin('user_key', 'user_key.member', 'role_member.member')
    .selectAll('user_key')
    .where('access_role.account', '=', account)
    .where('access_role.name', '=', role)
    .orderBy('user_key.fingerprint'),
);

/** Of all users who have a role of that name. */
export const userKeyListOfRole = async (context: RequestContext, db: Db, role: string): Promise<AccountKey[]> => {
  authorize(context, 'read');
  return (await keysOfRole.rows(db, { account: context.account, role })).map(keyOf);
};

/** By name or fingerprint. */
export const userKeyFind = async (context: RequestContext, db: Db, { id }: User, nameOrFingerprint: string): Promise<AccountKey | undefined> => {
  authorize(context, 'read');
  const row = await db
    .selectFrom('user_key')
    .selectAll()
    .where('member', '=', id)
    .where(({ or, eb }) => or([eb('fingerprint', '=', nameOrFingerprint), eb('name', '=', nameOrFingerprint), eb('sha256', '=', nameOrFingerprint)]))
    .executeTakeFirst();
  return row === undefined ? undefined : keyOf(row);
};

export const userKeyDelete = async (context: RequestContext, db: Db, { id }: User, fingerprint: string): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('user_key').where('member', '=', id).where('fingerprint', '=', fingerprint).execute();
};
