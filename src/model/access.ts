/** Who else may act for an account, and how far: users, roles, policies. Whoever has the account's own key may do all. */
import type { AccountProfile } from './account.ts';

export interface User {
  id: string;
  account: string;
  login: string;
  profile: AccountProfile;
  createdAt: string;
  updatedAt: string;
}

export interface Policy {
  id: string;
  account: string;
  name: string;
  description: string;
  /** In the language of policies. */
  rules: string[];
  createdAt: string;
}

export interface Role {
  id: string;
  account: string;
  name: string;
  policies: { id: string; name: string }[];
  /** `byDefault`: it counts without being asked for. */
  members: { id: string; login: string; byDefault: boolean }[];
  createdAt: string;
}
