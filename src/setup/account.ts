/**
 * The users and groups of services that are not root. As `cenote` the control plane runs, and members of that group may use it; as
 * `cenote-dns` the resolver, which reads what machines send and may do nothing with either.
 */
import { readFileSync } from 'node:fs';
import { CenoteError } from '../base/errors.ts';
import { run } from '../exec/run.ts';

export const accountName = 'cenote';
export const resolverAccountName = 'cenote-dns';
const comments = { [accountName]: 'Cenote control plane', [resolverAccountName]: 'Cenote resolver' } as const;
export type AccountName = keyof typeof comments;
const accountNames = Object.keys(comments) as AccountName[];

export interface Account {
  name: string;
  uid: number;
  gid: number;
}

const read = { passwd: () => readFileSync('/etc/passwd', 'utf8'), group: () => readFileSync('/etc/group', 'utf8') } as const;

export const findAccount = (name: AccountName, passwd = read.passwd(), group = read.group()): Account | null => {
  const uid = field(passwd, name, 2);
  const gid = field(group, name, 2);
  return uid === null || gid === null ? null : { name, uid, gid };
};

export const ensureAccounts = async (): Promise<{ accounts: Record<AccountName, Account>; made: AccountName[] }> => {
  const made: AccountName[] = [];
  const accounts: Partial<Record<AccountName, Account>> = {};
  for (const name of accountNames) {
    if (findAccount(name) === null) {
      await makeAccount(name);
      made.push(name);
    }
    const account = findAccount(name);
    if (account === null) throw new CenoteError('failed', `user and group "${name}" were made but are not found in /etc/passwd and /etc/group`);
    accounts[name] = account;
  }
  return { accounts: accounts as Record<AccountName, Account>, made };
};

const makeAccount = async (name: AccountName): Promise<void> => {
  if (field(read.group(), name, 2) === null) await run('groupadd', ['--system', name]);
  if (field(read.passwd(), name, 2) !== null) return;
  const nowhere = ['--home-dir', '/nonexistent', '--no-create-home', '--shell', '/usr/sbin/nologin'];
  await run('useradd', ['--system', '--gid', name, ...nowhere, '--comment', comments[name], name]);
};

export const removeAccounts = async (): Promise<void> => {
  for (const name of accountNames) {
    if (field(read.passwd(), name, 2) !== null) await run('userdel', [name]);
    if (field(read.group(), name, 2) !== null) await run('groupdel', [name]);
  }
};

const field = (text: string, name: AccountName, index: number): number | null => {
  const line = text.split('\n').find((one) => one.startsWith(`${name}:`));
  const value = line?.split(':')[index];
  return value === undefined ? null : Number(value);
};
