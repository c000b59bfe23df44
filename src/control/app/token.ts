/** Short-lived tokens for who cannot sign, such as a page in a browser: made by whoever can, and worth no more than the key they were made with. */
import { createHash, randomBytes } from 'node:crypto';
import { CenoteError } from '../../base/errors.ts';
import { newTokenId } from '../../base/ids.ts';
import type { CreateToken, MadeToken } from '../../model/account.ts';
import { accountGet } from '../../store/account.ts';
import type { RequestContext } from '../../store/context.ts';
import { authorize } from '../../store/context.ts';
import { tokenAdd, tokenList } from '../../store/token.ts';
import type { Control } from '../control.ts';

const usualSeconds = 3600;
const mostOfAccount = 100;

/** Told apart from other secrets by whoever finds one in a log or a repository. */
const begin = 'cenote_token_';
export const tokenPattern = /^cenote_token_[A-Za-z0-9_-]{43}$/;

export const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Who came with a token may not make what lasts longer: no other token, and no key. */
export const demandKey = ({ caller }: RequestContext): void => {
  if (caller?.type === 'token')
    throw new CenoteError('forbidden', 'a token makes no tokens and gives no keys', { advice: 'do this with a key of the account' });
};

export const tokenCreate = (control: Control, context: RequestContext, account: string, { seconds = usualSeconds }: CreateToken): Promise<MadeToken> => {
  authorize(context, 'write');
  demandKey(context);
  const token = `${begin}${randomBytes(32).toString('base64url')}`;
  const now = Date.now();
  const made = { id: newTokenId(), actor: context.actor, createdAt: new Date(now).toISOString(), expiresAt: new Date(now + seconds * 1000).toISOString() };
  return control.store.transaction(async (db) => {
    const { id } = await accountGet(context, db, account);
    if ((await tokenList(context, db, id, made.createdAt)).length >= mostOfAccount)
      throw new CenoteError('over_quota', `the account has ${mostOfAccount} tokens already`, { advice: 'delete some, or wait until they expire' });
    await tokenAdd(context, db, { ...made, account: id, member: context.user?.id ?? null, fingerprint: context.key ?? null, hash: hashOf(token) });
    return { ...made, token };
  });
};
