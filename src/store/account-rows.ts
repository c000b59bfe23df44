/** Accounts, users and keys as their rows hold them. */
import type { User } from '../model/access.ts';
import type { Account, AccountKey, AccountProfile, AccountQuota } from '../model/account.ts';
import type { AccountKeyTable, AccountTable, AccountUserTable } from './schema.ts';

export const accountOf = (row: Omit<AccountTable, 'default_network'>): Account => ({
  id: row.id,
  name: row.name,
  profile: JSON.parse(row.profile) as AccountProfile,
  quota: JSON.parse(row.quota) as AccountQuota,
  namesEnabled: row.names_enabled === 1,
  createdAt: row.created_at,
  updatedAt: row.updated_at === '' ? row.created_at : row.updated_at,
  disabledAt: row.disabled_at,
});

/** An account's or a user's. */
export const keyOf = (row: Omit<AccountKeyTable, 'account'>): AccountKey => ({
  name: row.name,
  fingerprint: row.fingerprint,
  sha256: row.sha256,
  key: row.public_key,
  createdAt: row.created_at,
});

export const userOf = (row: AccountUserTable): User => ({
  id: row.id,
  account: row.account,
  login: row.login,
  profile: JSON.parse(row.profile) as AccountProfile,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});
