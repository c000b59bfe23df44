/** Tokens of accounts and their users. What is kept of one is enough to know it by, and not to use it. */
import { CenoteError } from '../base/errors.ts';
import type { Token } from '../model/account.ts';
import { accountGet } from './account.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { AccessTokenTable } from './schema.ts';
import type { Db } from './store.ts';

const tokenOf = (row: AccessTokenTable): Token => ({ id: row.id, actor: row.actor, createdAt: row.created_at, expiresAt: row.expires_at });

export interface StoredToken extends Token {
  account: string;
  /** Id of the user whom it stands for; null: the account itself. */
  member: string | null;
  /** Of the key it was made with, which it goes with; null: the operator made it. */
  fingerprint: string | null;
  hash: string;
}

/** Those that have expired by the time of the new one go. */
export const tokenAdd = async (context: RequestContext, db: Db, token: StoredToken): Promise<void> => {
  authorize(context, 'write');
  await accountGet(context, db, token.account);
  await db.deleteFrom('access_token').where('expires_at', '<=', token.createdAt).execute();
  const { id, account, member, fingerprint, hash, actor, createdAt, expiresAt } = token;
  await db.insertInto('access_token').values({ id, account, member, fingerprint, hash, actor, created_at: createdAt, expires_at: expiresAt }).execute();
};

/** The newest first. */
export const tokenList = async (context: RequestContext, db: Db, account: string, now: string): Promise<Token[]> => {
  authorize(context, 'read');
  await accountGet(context, db, account);
  const rows = await db
    .selectFrom('access_token')
    .selectAll()
    .where('account', '=', account)
    .where('expires_at', '>', now)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
  return rows.map(tokenOf);
};

export const tokenDelete = async (context: RequestContext, db: Db, account: string, id: string): Promise<void> => {
  authorize(context, 'write');
  await accountGet(context, db, account);
  const gone = await db.deleteFrom('access_token').where('account', '=', account).where('id', '=', id).executeTakeFirst();
  if (gone.numDeletedRows === 0n) throw new CenoteError('not_found', `there is no token ${JSON.stringify(id.slice(0, 80))}`);
};
