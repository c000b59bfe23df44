/** Who asks, for whom, and what they may do: the first argument of every store method. */
import { CenoteError } from '../base/errors.ts';
import type { User } from '../model/access.ts';
import type { JobCaller } from '../model/event.ts';

/**
 * `system` is the control plane itself, acting for all accounts; `administrator` the operator, who acts for the account `default` and looks after
 * accounts and packages; `account` somebody who has proved to act for an account; `stranger` is known, but may do nothing.
 */
export type Role = 'system' | 'administrator' | 'account' | 'stranger';

export interface RequestContext {
  account: string;
  /** For the audit: `uid:1000 (name)`, or an account's key. */
  actor: string;
  role: Role;
  /** How somebody proved it who came by a network. */
  caller?: JobCaller;
  /** Fingerprint of the SSH key, or id of the access key, that proved it. */
  key?: string;
  /** Who of the account; absent: the account itself. */
  user?: User;
  /** Machines, by id, that the user may know of; absent: all of the account. */
  visible?: ReadonlySet<string>;
}

/** The operator's own account, which local callers act for. */
export const defaultAccount = 'default';

export const systemContext: RequestContext = { account: defaultAccount, actor: 'system', role: 'system' };

const allowed = {
  read: ['system', 'administrator', 'account'],
  write: ['system', 'administrator', 'account'],
  /** What is the same for all accounts: accounts themselves, packages, platforms. */
  operate: ['system', 'administrator'],
  /** What is taken over from a host, and the jobs' own records. */
  keep: ['system'],
} as const satisfies Record<string, readonly Role[]>;

/** Of which account: the operator says so, an account is itself. */
export const demandOwn = (context: RequestContext, account: string): void => {
  if (context.role === 'account' && context.account !== account) throw new CenoteError('not_found', 'there is no such account');
};

export const authorize = (context: RequestContext, permission: keyof typeof allowed): void => {
  if ((allowed[permission] as readonly Role[]).includes(context.role)) return;
  if (context.role === 'account') throw new CenoteError('forbidden', 'only the operator may do this');
  throw new CenoteError('forbidden', `${context.actor} may not use this control plane`, {
    advice: 'be root or a member of the group cenote (usermod -aG cenote NAME, then log in again)',
  });
};
