/** Access keys: made for programs, by whoever may give an account or a user a key; the secret leaves once, in the answer. */
import { randomBytes } from 'node:crypto';
import { CenoteError } from '../../base/errors.ts';
import type { AccessKey, AccessKeyWish, MadeAccessKey } from '../../model/access-key.ts';
import { accessKeyBegin, accessKeyDigits, secretBegin } from '../../model/names.ts';
import { accessKeyAdd, accessKeyDelete as removeKey, accessKeyGet, accessKeyList as listKeys, accessKeySave } from '../../store/access-key.ts';
import type { KeyHolder } from '../../store/access-key.ts';
import { accountGet } from '../../store/account.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import type { Db } from '../../store/store.ts';
import { userGet } from '../../store/user.ts';
import type { Control } from '../control.ts';
import { demandKey } from './token.ts';

/** Of an account, and of each of its users: enough to exchange one program's after another's. */
const mostOfHolder = 20;

/** By id or name. */
export interface HolderNames {
  account: string;
  /** Undefined for the account itself. */
  user: string | undefined;
}

const holderOf = async (context: RequestContext, db: Db, { account, user }: HolderNames): Promise<KeyHolder> => {
  const { id } = await accountGet(context, db, account);
  // Users are looked up in the caller's own account: the operator acts here for the one that he named.
  return { account: id, member: user === undefined ? null : (await userGet({ ...context, account: id }, db, user)).id };
};

/** 80 bits: no two are ever the same, and none is guessed. */
const newId = (): string => accessKeyBegin + Array.from(randomBytes(16), (byte) => accessKeyDigits[byte % accessKeyDigits.length]).join('');

export const accessKeyCreate = (control: Control, context: RequestContext, names: HolderNames, asked: AccessKeyWish): Promise<MadeAccessKey> => {
  authorize(context, 'write');
  demandKey(context);
  const secret = `${secretBegin}${randomBytes(32).toString('base64url')}`;
  const now = new Date().toISOString();
  const made = { id: newId(), active: asked.active ?? true, description: asked.description ?? '', createdAt: now, updatedAt: now };
  return control.store.transaction(async (db) => {
    const holder = await holderOf(context, db, names);
    if ((await listKeys(context, db, holder)).length >= mostOfHolder)
      throw new CenoteError('over_quota', `there are ${mostOfHolder} access keys already, and no more are given`, { advice: 'delete one that is not used' });
    await accessKeyAdd(context, db, holder, made, secret);
    return { ...made, secret };
  });
};

export const accessKeyList = async ({ store }: Control, context: RequestContext, names: HolderNames): Promise<AccessKey[]> => {
  authorize(context, 'read');
  return listKeys(context, store.db, await holderOf(context, store.db, names));
};

export const accessKeyShow = async ({ store }: Control, context: RequestContext, names: HolderNames, id: string): Promise<AccessKey> => {
  authorize(context, 'read');
  return accessKeyGet(context, store.db, await holderOf(context, store.db, names), id);
};

/** One that is made inactive opens nothing from the next request on. */
export const accessKeyUpdate = (control: Control, context: RequestContext, names: HolderNames, id: string, asked: AccessKeyWish): Promise<AccessKey> => {
  authorize(context, 'write');
  if (asked.active === true) demandKey(context);
  return control.store.transaction(async (db) => {
    const holder = await holderOf(context, db, names);
    const key = await accessKeyGet(context, db, holder, id);
    const changed = { ...key, ...asked, updatedAt: new Date().toISOString() };
    await accessKeySave(context, db, holder, changed);
    return changed;
  });
};

export const accessKeyDelete = (control: Control, context: RequestContext, names: HolderNames, id: string): Promise<void> => {
  authorize(context, 'write');
  return control.store.transaction(async (db) => removeKey(context, db, await holderOf(context, db, names), id));
};
