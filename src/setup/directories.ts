/**
 * The root directory and its parts, with their owners and modes. The root can be passed through by all, for the sockets; each part
 * says for itself who may look in. Only the control plane's part and the resolver's belong to unprivileged users.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { CenoteError, invalid } from '../base/errors.ts';
import type { InstancePaths } from '../model/instance.ts';
import type { Account, AccountName } from './account.ts';

/** What the lock of an instance's own `up` lies in; the rest wants the account. */
export const makeRoot = (paths: InstancePaths): void => {
  mkdirSync(dirname(paths.root), { recursive: true, mode: 0o755 });
  checkPassable(dirname(paths.root));
  makeDirectory(paths.root, 0o711, 0, 0);
  makeDirectory(paths.run, 0o755, 0, 0);
};

export const makeDirectories = (paths: InstancePaths, { cenote: account, 'cenote-dns': resolver }: Record<AccountName, Account>): void => {
  makeRoot(paths);
  makeDirectory(paths.agent, 0o700, 0, 0);
  // Its socket is in it, so it can be passed through; its files are made under umask 077.
  makeDirectory(paths.control, 0o711, account.uid, account.gid);
  makeDirectory(paths.resolver, 0o700, resolver.uid, resolver.gid);
  makeDirectory(paths.log, 0o750, 0, account.gid);
  if (!isMountPoint(paths.lxcfs)) makeDirectory(paths.lxcfs, 0o755, 0, 0);
  linkTo(paths.controlSocket, relative(paths.run, paths.controlListen));
};

/** The control plane's user must be able to reach its own directory. */
const checkPassable = (path: string): void => {
  for (let at = path; ; at = dirname(at)) {
    const mode = statSync(at).mode & 0o777;
    if ((mode & 0o001) === 0)
      throw invalid(
        'root',
        `${at} (mode ${mode.toString(8)}) cannot be passed through by the control plane's user`,
        `choose another root directory, or allow it: chmod o+x ${at}`,
      );
    if (at === '/') return;
  }
};

const makeDirectory = (path: string, mode: number, uid: number, gid: number): void => {
  mkdirSync(path, { recursive: true, mode });
  const found = lstatSync(path);
  if (!found.isDirectory()) throw new CenoteError('failed', `${path} is not a directory`);
  if (found.uid !== uid || found.gid !== gid) chownSync(path, uid, gid);
  if ((found.mode & 0o7777) !== mode) chmodSync(path, mode);
};

/** A dead FUSE mount cannot even be looked at. */
const isMountPoint = (path: string): boolean => {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found !== undefined && found.dev !== statSync(dirname(path)).dev;
  } catch {
    return true;
  }
};

const linkTo = (path: string, target: string): void => {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && readlinkSync(path) === target) return;
  rmSync(path, { force: true });
  symlinkSync(target, path);
};
