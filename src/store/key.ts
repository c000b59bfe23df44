/** SSH keys of accounts. */
import { CenoteError } from '../base/errors.ts';
import type { AccountKey } from '../model/account.ts';
import { keyOf } from './account-rows.ts';
import { authorize, demandOwn } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { Db } from './store.ts';

export const keyAdd = async (context: RequestContext, db: Db, account: string, key: AccountKey): Promise<AccountKey> => {
  authorize(context, 'write');
  demandOwn(context, account);
  const known = await db
    .selectFrom('account_key')
    .select(['name', 'fingerprint'])
    .where('account', '=', account)
    .where(({ or, eb }) => or([eb('name', '=', key.name), eb('fingerprint', '=', key.fingerprint)]))
    .executeTakeFirst();
  if (known !== undefined) {
    const [field, message] =
      known.fingerprint === key.fingerprint
        ? ['key', `the key is there already, as ${JSON.stringify(known.name)}`]
        : ['name', `there is already a key named ${JSON.stringify(key.name)}`];
    throw new CenoteError('already_exists', message, { fields: [{ field, message }] });
  }
  const { name, fingerprint, sha256, createdAt } = key;
  await db.insertInto('account_key').values({ account, name, fingerprint, sha256, public_key: key.key, created_at: createdAt }).execute();
  return key;
};

const keysOf = new Compiled((db, { account }: Slots<{ account: string }>) =>
  db.selectFrom('account_key').selectAll().where('account', '=', account).orderBy('name'),
);

export const keyList = async (context: RequestContext, db: Db, account: string): Promise<AccountKey[]> => {
  authorize(context, 'read');
  demandOwn(context, account);
  return (await keysOf.rows(db, { account })).map(keyOf);
};

/** By name or either fingerprint. */
export const keyFind = async (context: RequestContext, db: Db, account: string, nameOrFingerprint: string): Promise<AccountKey | undefined> => {
  authorize(context, 'read');
  demandOwn(context, account);
  const row = await db
    .selectFrom('account_key')
    .selectAll()
    .where('account', '=', account)
    .where(({ or, eb }) => or([eb('fingerprint', '=', nameOrFingerprint), eb('name', '=', nameOrFingerprint), eb('sha256', '=', nameOrFingerprint)]))
    .executeTakeFirst();
  return row === undefined ? undefined : keyOf(row);
};

export const keyGet = async (context: RequestContext, db: Db, account: string, nameOrFingerprint: string): Promise<AccountKey> => {
  authorize(context, 'read');
  const found = await keyFind(context, db, account, nameOrFingerprint);
  if (found === undefined) throw new CenoteError('not_found', `there is no key ${JSON.stringify(nameOrFingerprint.slice(0, 80))}`);
  return found;
};

export const keyDelete = async (context: RequestContext, db: Db, account: string, nameOrFingerprint: string): Promise<void> => {
  authorize(context, 'write');
  const { fingerprint } = await keyGet(context, db, account, nameOrFingerprint);
  await db.deleteFrom('account_key').where('account', '=', account).where('fingerprint', '=', fingerprint).execute();
};
