/** The part of the control plane's API that is about accounts, and what they are known by. */
import type { AccessKey, AccessKeyWish, MadeAccessKey } from '../model/access-key.ts';
import type { Account, AccountKey, CreateAccount, CreateKey, CreateToken, MadeToken, Token, UpdateAccount } from '../model/account.ts';
import { NetworkCalls } from './network-calls.ts';
import type { ControlCall } from './network-calls.ts';

/** Whose access keys: an account's, or those of one of its users. */
export interface AccessKeyHolder {
  account: string;
  user: string | undefined;
}

const part = encodeURIComponent;
const path = (account: string): string => `/v1/accounts/${part(account)}`;

export class AccountCalls extends NetworkCalls {
  accountList(call: ControlCall = {}): Promise<Account[]> {
    return this.http.json('GET', '/v1/accounts', call);
  }

  accountCreate(json: CreateAccount, call: ControlCall = {}): Promise<Account> {
    return this.http.json('POST', '/v1/accounts', { json, ...call });
  }

  accountGet(account: string, call: ControlCall = {}): Promise<Account> {
    return this.http.json('GET', `${path(account)}`, call);
  }

  accountUpdate(account: string, json: UpdateAccount, call: ControlCall = {}): Promise<Account> {
    return this.http.json('POST', `${path(account)}/update`, { json, ...call });
  }

  accountDisable(account: string, call: ControlCall = {}): Promise<Account> {
    return this.http.json('POST', `${path(account)}/disable`, call);
  }

  accountEnable(account: string, call: ControlCall = {}): Promise<Account> {
    return this.http.json('POST', `${path(account)}/enable`, call);
  }

  tokenList(account: string, call: ControlCall = {}): Promise<Token[]> {
    return this.http.json('GET', `${path(account)}/tokens`, call);
  }

  tokenCreate(account: string, json: CreateToken, call: ControlCall = {}): Promise<MadeToken> {
    return this.http.json('POST', `${path(account)}/tokens`, { json, ...call });
  }

  tokenDelete(account: string, id: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `${path(account)}/tokens/${part(id)}`, call);
  }

  accountDelete(account: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `${path(account)}`, call);
  }

  keyList(account: string, call: ControlCall = {}): Promise<AccountKey[]> {
    return this.http.json('GET', `${path(account)}/keys`, call);
  }

  keyAdd(account: string, json: CreateKey, call: ControlCall = {}): Promise<AccountKey> {
    return this.http.json('POST', `${path(account)}/keys`, { json, ...call });
  }

  /** By name or fingerprint. */
  keyDelete(account: string, key: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `${path(account)}/keys/${part(key)}`, call);
  }

  accessKeyList({ account, user }: AccessKeyHolder, call: ControlCall = {}): Promise<AccessKey[]> {
    return this.http.json('GET', `${path(account)}/accesskeys`, { query: { user }, ...call });
  }

  accessKeyCreate({ account, user }: AccessKeyHolder, json: AccessKeyWish, call: ControlCall = {}): Promise<MadeAccessKey> {
    return this.http.json('POST', `${path(account)}/accesskeys`, { query: { user }, json, ...call });
  }

  accessKeyUpdate({ account, user }: AccessKeyHolder, id: string, json: AccessKeyWish, call: ControlCall = {}): Promise<AccessKey> {
    return this.http.json('POST', `${path(account)}/accesskeys/${part(id)}/update`, { query: { user }, json, ...call });
  }

  accessKeyDelete({ account, user }: AccessKeyHolder, id: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `${path(account)}/accesskeys/${part(id)}`, { query: { user }, ...call });
  }
}
