/** The user and group `cenote`: the control plane runs as this user, and members of the group may use it. */
import { readFileSync } from 'node:fs';
import { CenoteError } from '../base/errors.ts';
import { run } from '../exec/run.ts';

export const accountName = 'cenote';

export interface Account {
  name: string;
  uid: number;
  gid: number;
}

export const findAccount = (passwd = readFileSync('/etc/passwd', 'utf8'), group = readFileSync('/etc/group', 'utf8')): Account | null => {
  const uid = field(passwd, 2);
  const gid = field(group, 2);
  return uid === null || gid === null ? null : { name: accountName, uid, gid };
};

export const ensureAccount = async (): Promise<{ account: Account; made: boolean }> => {
  const existing = findAccount();
  if (existing !== null) return { account: existing, made: false };
  if (field(readFileSync('/etc/group', 'utf8'), 2) === null) await run('groupadd', ['--system', accountName]);
  if (field(readFileSync('/etc/passwd', 'utf8'), 2) === null)
    await run('useradd', [
      '--system',
      '--gid',
      accountName,
      '--home-dir',
      '/nonexistent',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      '--comment',
      'Cenote control plane',
      accountName,
    ]);
  const account = findAccount();
  if (account === null) throw new CenoteError('failed', 'user and group "cenote" were made but are not found in /etc/passwd and /etc/group');
  return { account, made: true };
};

export const removeAccount = async (): Promise<void> => {
  if (field(readFileSync('/etc/passwd', 'utf8'), 2) !== null) await run('userdel', [accountName]);
  if (field(readFileSync('/etc/group', 'utf8'), 2) !== null) await run('groupdel', [accountName]);
};

const field = (text: string, index: number): number | null => {
  const line = text.split('\n').find((one) => one.startsWith(`${accountName}:`));
  const value = line?.split(':')[index];
  return value === undefined ? null : Number(value);
};
