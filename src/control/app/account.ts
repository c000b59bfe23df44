/** Accounts and their SSH keys. A key is taken in any form OpenSSH writes, and kept in one. */
import sshpk from 'sshpk';
import { CenoteError, invalid } from '../../base/errors.ts';
import { newAccountId } from '../../base/ids.ts';
import type { Account, AccountKey, CreateAccount, CreateKey, UpdateAccount } from '../../model/account.ts';
import { checkAccountName } from '../../model/names.ts';
import {
  accountCreate as insertAccount,
  accountDelete as removeAccount,
  accountGet,
  accountSetDisabled,
  accountSetNamesEnabled,
  accountSetProfile,
  accountSetQuota,
} from '../../store/account.ts';
import { authorize, defaultAccount } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { firewallRuleDeleteAll } from '../../store/firewall-rule.ts';
import { keyAdd as insertKey } from '../../store/key.ts';
import type { Control } from '../control.ts';
import { demandKey } from './token.ts';

const kinds = new Set(['rsa', 'ecdsa', 'ed25519']);
const leastRsaBits = 1024;

/** Its name is the one given, else the comment that stands in the key, else its fingerprint. */
export const readKey = (field: string, { name, key: text }: CreateKey): AccountKey => {
  const key = parseKey(field, text);
  if (!kinds.has(key.type)) throw invalid(field, `a key of kind ${key.type} is not taken`, 'use RSA, ECDSA or ed25519');
  if (key.type === 'rsa' && key.size < leastRsaBits) throw invalid(field, `an RSA key of ${key.size} bits is too short`, `${leastRsaBits} bits are the least`);
  const fingerprint = key.fingerprint('md5').toString('hex');
  const comment = (key.comment ?? '')
    .replaceAll(/[^a-zA-Z0-9_.@ +-]/g, '')
    .trim()
    .slice(0, 128);
  key.comment = name ?? comment;
  return {
    name: name ?? (comment === '' || comment === '(unnamed)' ? fingerprint : comment),
    fingerprint,
    sha256: key.fingerprint('sha256').toString(),
    key: key.toString('ssh').trim(),
    createdAt: new Date().toISOString(),
  };
};

const parseKey = (field: string, text: string): sshpk.Key => {
  if (/PRIVATE KEY/.test(text)) throw invalid(field, 'this is a private key', 'give the public one, such as ~/.ssh/id_ed25519.pub');
  try {
    return sshpk.parseKey(text, 'auto');
  } catch (cause) {
    throw new CenoteError('invalid_argument', `${field}: this is not a public key in OpenSSH format`, {
      cause,
      fields: [{ field, message: 'this is not a public key in OpenSSH format' }],
      advice: 'give the content of a file such as ~/.ssh/id_ed25519.pub',
    });
  }
};

export const accountCreate = async (control: Control, context: RequestContext, asked: CreateAccount): Promise<Account> => {
  authorize(context, 'operate');
  const createdAt = new Date().toISOString();
  const account = {
    id: newAccountId(),
    name: checkAccountName('name', asked.name),
    profile: asked.profile ?? {},
    quota: asked.quota ?? {},
    namesEnabled: true,
    createdAt,
    updatedAt: createdAt,
    disabledAt: null,
  };
  const keys = (asked.keys ?? []).map((key, index) => readKey(`keys.${index}.key`, key));
  await control.store.transaction(async (db) => {
    await insertAccount(context, db, account);
    for (const key of keys) await insertKey(context, db, account.id, key);
  });
  control.names.accountsChanged();
  return account;
};

export const accountUpdate = async (control: Control, context: RequestContext, idOrName: string, asked: UpdateAccount): Promise<Account> => {
  authorize(context, 'operate');
  const changed = await control.store.transaction(async (db) => {
    const { id, profile, quota } = await accountGet(context, db, idOrName);
    const now = new Date().toISOString();
    if (asked.profile !== undefined) await accountSetProfile(context, db, id, { ...profile, ...asked.profile }, now);
    if (asked.quota !== undefined) await accountSetQuota(context, db, id, { ...quota, ...asked.quota }, now);
    if (asked.namesEnabled !== undefined) await accountSetNamesEnabled(context, db, id, asked.namesEnabled, now);
    return accountGet(context, db, id);
  });
  control.names.accountsChanged();
  return changed;
};

/** Its machines stay as they are. */
export const accountDisable = (control: Control, context: RequestContext, idOrName: string): Promise<Account> => {
  authorize(context, 'operate');
  return control.store.transaction(async (db) => {
    const { id, disabledAt } = await accountGet(context, db, idOrName);
    if (id === defaultAccount)
      throw new CenoteError('in_use', "the operator's own account stays enabled", { advice: 'to keep a key out: cenote account key delete' });
    if (disabledAt === null) await accountSetDisabled(context, db, id, new Date().toISOString());
    return accountGet(context, db, id);
  });
};

export const accountEnable = (control: Control, context: RequestContext, idOrName: string): Promise<Account> => {
  authorize(context, 'operate');
  return control.store.transaction(async (db) => {
    const { id } = await accountGet(context, db, idOrName);
    await accountSetDisabled(context, db, id, null);
    return accountGet(context, db, id);
  });
};

/** Its firewall rules go with it: there is no machine left that they are about. */
export const accountDelete = async (control: Control, context: RequestContext, idOrName: string): Promise<void> => {
  authorize(context, 'operate');
  const rules = await control.store.transaction(async (db) => {
    const { id } = await accountGet(context, db, idOrName);
    if (id === defaultAccount) throw new CenoteError('in_use', "the operator's own account stays");
    const gone = await firewallRuleDeleteAll(context, db, id);
    await removeAccount(context, db, id);
    return gone;
  });
  control.names.accountsChanged();
  await Promise.all(rules.map((id) => control.firewall.changed(id)));
};

export const keyAdd = (control: Control, context: RequestContext, account: string, asked: CreateKey): Promise<AccountKey> => {
  authorize(context, 'write');
  demandKey(context);
  const key = readKey('key', asked);
  return control.store.transaction(async (db) => insertKey(context, db, (await accountGet(context, db, account)).id, key));
};
