/** Who holds a key: of an account, or of one of its users. One query each, so that whether account, user or key is unknown takes the same time. */
import type { User } from '../model/access.ts';
import type { Account, AccountKey } from '../model/account.ts';
import { accountOf, keyOf, userOf } from './account-rows.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import type { Db } from './store.ts';

/** As a client names it, each by id or name; an SSH key also by its fingerprint. */
export interface Named {
  account: string;
  user: string | undefined;
  kind: SigningKey['kind'];
  key: string;
}

/** What a signature is checked with. Whoever checks one asks for the kind: a public key, which everybody may know, is never taken for a secret. */
export type SigningKey = { kind: 'ssh'; key: AccountKey } | { kind: 'access'; id: string; secret: string };

export interface Credential {
  account: Account;
  /** Undefined for the account's own key. */
  user: User | undefined;
  by: SigningKey;
}

export const credentialFind = async (context: RequestContext, db: Db, named: Named): Promise<Credential | undefined> => {
  authorize(context, 'keep');
  if (named.kind === 'access') return byAccessKey(db, named);
  return named.user === undefined ? ofAccount(db, named) : ofUser(db, { ...named, user: named.user });
};

/** What a token stands for, while it has not expired and the key that it was made with is there. */
export interface TokenCredential {
  account: Account;
  user: User | undefined;
  token: { id: string; expiresAt: string; fingerprint: string | null };
}

export const tokenCredentialFind = async (context: RequestContext, db: Db, hash: string, now: string): Promise<TokenCredential | undefined> => {
  authorize(context, 'keep');
  const row = await db
    .selectFrom('access_token')
    .innerJoin('account', 'account.id', 'access_token.account')
    .leftJoin('account_user', 'account_user.id', 'access_token.member')
    .select(accountColumns)
    .select(['access_token.id as token_id', 'access_token.expires_at', 'access_token.fingerprint'])
    .select(userColumns)
    .where('access_token.hash', '=', hash)
    .where('access_token.expires_at', '>', now)
    .where(({ or, eb, exists, selectFrom }) =>
      or([
        eb('access_token.fingerprint', 'is', null),
        exists(
          selectFrom('account_key')
            .select('account_key.name')
            .where('access_token.member', 'is', null)
            .whereRef('account_key.account', '=', 'access_token.account')
            .whereRef('account_key.fingerprint', '=', 'access_token.fingerprint'),
        ),
        exists(
          selectFrom('access_key')
            .select('access_key.id')
            .whereRef('access_key.account', '=', 'access_token.account')
            .whereRef('access_key.id', '=', 'access_token.fingerprint')
            .where('access_key.active', '=', 1),
        ),
        exists(
          selectFrom('user_key')
            .select('user_key.name')
            .whereRef('user_key.member', '=', 'access_token.member')
            .whereRef('user_key.fingerprint', '=', 'access_token.fingerprint'),
        ),
      ]),
    )
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { account: accountIn(row), user: userIn(row), token: { id: row.token_id, expiresAt: row.expires_at, fingerprint: row.fingerprint } };
};

const accountColumns = [
  'account.id as account_id',
  'account.name as account_name',
  'account.profile as account_profile',
  'account.quota as account_quota',
  'account.names_enabled as account_names_enabled',
  'account.created_at as account_created_at',
  'account.updated_at as account_updated_at',
  'account.disabled_at as account_disabled_at',
] as const;

interface AccountColumns {
  account_id: string;
  account_name: string;
  account_profile: string;
  account_quota: string;
  account_names_enabled: number;
  account_created_at: string;
  account_updated_at: string;
  account_disabled_at: string | null;
}

const accountIn = (row: AccountColumns): Account =>
  accountOf({
    id: row.account_id,
    name: row.account_name,
    profile: row.account_profile,
    quota: row.account_quota,
    names_enabled: row.account_names_enabled,
    created_at: row.account_created_at,
    updated_at: row.account_updated_at,
    disabled_at: row.account_disabled_at,
  });

/** Where an account's own key may stand as well as a user's. */
const userColumns = ['account_user.id', 'account_user.login', 'account_user.profile', 'account_user.created_at', 'account_user.updated_at'] as const;

interface UserColumns {
  account_id: string;
  id: string | null;
  login: string | null;
  profile: string | null;
  created_at: string | null;
  updated_at: string | null;
}

const userIn = ({ account_id: account, id, login, profile, created_at, updated_at }: UserColumns): User | undefined =>
  id === null || login === null || profile === null || created_at === null || updated_at === null
    ? undefined
    : userOf({ id, account, login, profile, created_at, updated_at });

/** Only an active one; the account's own where no user is named. */
const byAccessKey = async (db: Db, { account, user, key }: Named): Promise<Credential | undefined> => {
  const row = await db
    .selectFrom('access_key')
    .innerJoin('account', 'account.id', 'access_key.account')
    .leftJoin('account_user', 'account_user.id', 'access_key.member')
    .select(accountColumns)
    .select(['access_key.id as access_key_id', 'access_key.secret'])
    .select(userColumns)
    .where('access_key.id', '=', key)
    .where('access_key.active', '=', 1)
    .where(({ or, eb }) => or([eb('account.id', '=', account), eb('account.name', '=', account)]))
    .where(({ or, eb }) =>
      user === undefined ? eb('access_key.member', 'is', null) : or([eb('account_user.id', '=', user), eb('account_user.login', '=', user)]),
    )
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { account: accountIn(row), user: userIn(row), by: { kind: 'access', id: row.access_key_id, secret: row.secret } };
};

const ofAccount = async (db: Db, { account, key }: Named): Promise<Credential | undefined> => {
  const row = await db
    .selectFrom('account')
    .innerJoin('account_key', 'account_key.account', 'account.id')
    .selectAll('account_key')
    .select(accountColumns)
    .where(({ or, eb }) => or([eb('account.id', '=', account), eb('account.name', '=', account)]))
    .where(({ or, eb }) => or([eb('account_key.fingerprint', '=', key), eb('account_key.name', '=', key), eb('account_key.sha256', '=', key)]))
    .executeTakeFirst();
  return row === undefined ? undefined : { account: accountIn(row), user: undefined, by: { kind: 'ssh', key: keyOf(row) } };
};

const ofUser = async (db: Db, { account, user, key }: Named & { user: string }): Promise<Credential | undefined> => {
  const row = await db
    .selectFrom('account')
    .innerJoin('account_user', 'account_user.account', 'account.id')
    .innerJoin('user_key', 'user_key.member', 'account_user.id')
    .selectAll('user_key')
    .select(accountColumns)
    .select(['account_user.id', 'account_user.login', 'account_user.profile', 'account_user.created_at as user_created_at', 'account_user.updated_at'])
    .where(({ or, eb }) => or([eb('account.id', '=', account), eb('account.name', '=', account)]))
    .where(({ or, eb }) => or([eb('account_user.id', '=', user), eb('account_user.login', '=', user)]))
    .where(({ or, eb }) => or([eb('user_key.fingerprint', '=', key), eb('user_key.name', '=', key), eb('user_key.sha256', '=', key)]))
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { account: accountIn(row), user: userOf({ ...row, account: row.account_id, created_at: row.user_created_at }), by: { kind: 'ssh', key: keyOf(row) } };
};
