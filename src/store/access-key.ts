/** Access keys of accounts and their users. Their secrets are written here and read by nothing but the check of a signature (credential.ts). */
import { CenoteError } from '../base/errors.ts';
import type { AccessKey } from '../model/access-key.ts';
import { authorize, demandOwn } from './context.ts';
import type { RequestContext } from './context.ts';
import type { AccessKeyTable } from './schema.ts';
import type { Db } from './store.ts';

/** Whose a key is. */
export interface KeyHolder {
  account: string;
  /** Id of a user of the account; null: the account itself. */
  member: string | null;
}

const columns = ['id', 'active', 'description', 'created_at', 'updated_at'] as const;

const accessKeyOf = (row: Pick<AccessKeyTable, (typeof columns)[number]>): AccessKey => ({
  id: row.id,
  active: row.active === 1,
  description: row.description,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const heldBy = (db: Db, { account, member }: KeyHolder) =>
  db
    .selectFrom('access_key')
    .select(columns)
    .where('account', '=', account)
    .where('member', member === null ? 'is' : '=', member);

export const accessKeyAdd = async (context: RequestContext, db: Db, { account, member }: KeyHolder, key: AccessKey, secret: string): Promise<void> => {
  authorize(context, 'write');
  demandOwn(context, account);
  const { id, active, description, createdAt, updatedAt } = key;
  await db
    .insertInto('access_key')
    .values({ id, account, member, secret, active: active ? 1 : 0, description, created_at: createdAt, updated_at: updatedAt })
    .execute();
};

/** In the order in which they were made. */
export const accessKeyList = async (context: RequestContext, db: Db, holder: KeyHolder): Promise<AccessKey[]> => {
  authorize(context, 'read');
  demandOwn(context, holder.account);
  const rows = await heldBy(db, holder).orderBy('created_at').orderBy('id').execute();
  return rows.map(accessKeyOf);
};

export const accessKeyGet = async (context: RequestContext, db: Db, holder: KeyHolder, id: string): Promise<AccessKey> => {
  authorize(context, 'read');
  demandOwn(context, holder.account);
  const row = await heldBy(db, holder).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new CenoteError('not_found', `there is no access key ${JSON.stringify(id.slice(0, 80))}`);
  return accessKeyOf(row);
};

export const accessKeySave = async (context: RequestContext, db: Db, holder: KeyHolder, key: AccessKey): Promise<void> => {
  authorize(context, 'write');
  const { id } = await accessKeyGet(context, db, holder, key.id);
  await db
    .updateTable('access_key')
    .set({ active: key.active ? 1 : 0, description: key.description, updated_at: key.updatedAt })
    .where('id', '=', id)
    .execute();
};

export const accessKeyDelete = async (context: RequestContext, db: Db, holder: KeyHolder, asked: string): Promise<void> => {
  authorize(context, 'write');
  const { id } = await accessKeyGet(context, db, holder, asked);
  await db.deleteFrom('access_key').where('id', '=', id).execute();
};
