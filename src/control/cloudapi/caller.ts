/** Who calls, once that is proved. */
import type { IncomingMessage } from 'node:http';
import type { User } from '../../model/access.ts';
import type { Account } from '../../model/account.ts';
import type { RequestContext } from '../../store/context.ts';

export interface Caller {
  account: Account;
  /** Undefined for whoever has the account's own key. */
  user: User | undefined;
  context: RequestContext;
  /** Whether what proved it is still good for the same. */
  stillHolds: () => Promise<boolean>;
}

interface Proof {
  type: 'signature' | 'token';
  /** A path, as the audit shows it. */
  keyId: string;
  /** What was proved with, for people. */
  words: string;
}

export const provedCaller = (
  request: IncomingMessage,
  { account, user }: Pick<Caller, 'account' | 'user'>,
  { type, keyId, words }: Proof,
): Omit<Caller, 'stillHolds'> => {
  const address = request.socket.remoteAddress ?? '';
  return {
    account,
    user,
    context: {
      account: account.id,
      role: 'account',
      ...(user === undefined ? {} : { user }),
      actor: `${account.name}${user === undefined ? '' : `/${user.login}`} with ${words} from ${address}`,
      caller: { type, keyId, address },
    },
  };
};
