/** Who asks, for whom, and what they may do: the first argument of every store method. */
import { CenoteError } from '../base/errors.ts';

/** `system` is the control plane itself, acting for all accounts; `stranger` is known, but may do nothing. */
export type Role = 'system' | 'administrator' | 'stranger';

export interface RequestContext {
  account: string;
  /** For the audit: `uid:1000 (name)`. */
  actor: string;
  role: Role;
}

/** The one account until accounts come; it stands on every row already. */
export const defaultAccount = 'default';

export const systemContext: RequestContext = { account: defaultAccount, actor: 'system', role: 'system' };

const allowed = {
  read: ['system', 'administrator'],
  write: ['system', 'administrator'],
  /** What is taken over from a host, and the jobs' own records. */
  keep: ['system'],
} as const satisfies Record<string, readonly Role[]>;

export const authorize = (context: RequestContext, permission: keyof typeof allowed): void => {
  if ((allowed[permission] as readonly Role[]).includes(context.role)) return;
  throw new CenoteError('forbidden', `${context.actor} may not use this control plane`, {
    advice: 'be root or a member of the group cenote (usermod -aG cenote NAME, then log in again)',
  });
};
