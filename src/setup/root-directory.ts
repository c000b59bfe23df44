/**
 * Whether a directory may be an instance's root, and its removal. `destroy` takes away all that is in a root, so nothing else may ever be in
 * one: it is new, empty, or was made by an `up` before; and even then only what has one of our names is removed.
 */
import { existsSync, lstatSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { basename } from 'node:path';
import { CenoteError, invalid } from '../base/errors.ts';
import type { AllottedInstance } from '../host/allotment/allotment.ts';
import { instancePaths } from '../model/instance.ts';
import { findInstanceConfig } from './config.ts';

/** Last what an interrupted removal is known again by. */
const ownNames = [
  'agent',
  'code',
  'control',
  'log',
  'lxcfs',
  'resolver',
  'storage',
  'database.json.new',
  'database.json',
  'config.json.new',
  'config.json',
  'run',
];
/** What a file system of its own has in its root. */
const ofTheFileSystem = 'lost+found';

/** The first thing an `up` makes: what has it is an instance, however far that `up` came. */
export const upLockPath = (root: string): string => `${instancePaths(root).run}/up.lock`;

const madeByUp = (root: string): boolean => {
  if (existsSync(upLockPath(root))) return true;
  try {
    return findInstanceConfig(root) !== null;
  } catch {
    return false; // a config.json of something else
  }
};

/** An `up` that was ended at its very beginning has made the directory of its lock, and nothing in it. */
const isEmpty = (root: string): boolean =>
  readdirSync(root).every((name) => name === ofTheFileSystem || (name === basename(instancePaths(root).run) && readdirSync(`${root}/${name}`).length === 0));

/** Before anything is made. `instances` are all that the host knows. */
export const checkRootDirectory = (root: string, instances: readonly Pick<AllottedInstance, 'root' | 'instance'>[]): void => {
  const other = instances.find((one) => one.root !== root && (one.root.startsWith(`${root}/`) || root.startsWith(`${one.root}/`)));
  if (other !== undefined) throw invalid('root', `${root} and the instance at ${other.root} would lie in each other`, 'choose a directory beside it');
  if (instances.some((one) => one.root === root) || isOurs(root)) return;
  throw invalid('root', `${root} is in use for something else (${someOf(root)})`, 'choose a directory that is new or empty');
};

/** A mistyped root must not cost someone a directory. */
export const isOurs = (root: string): boolean => {
  const found = lstatSync(root, { throwIfNoEntry: false });
  return found === undefined || (found.isDirectory() && (isEmpty(root) || madeByUp(root)));
};

const someOf = (root: string): string => {
  if (!lstatSync(root).isDirectory()) return 'it is not a directory';
  const names = readdirSync(root);
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`;
};

/** What is left of it: names that are not ours. */
export const removeRootDirectory = (root: string): string[] => {
  for (const name of ownNames) rmSync(`${root}/${name}`, { recursive: true, force: true });
  const left = existsSync(root) ? readdirSync(root).filter((name) => name !== ofTheFileSystem) : [];
  if (left.length > 0 || !existsSync(root)) return left;
  try {
    rmdirSync(root);
  } catch (error) {
    // A mount point, or a file system with a lost+found: it was there before us.
    if (!['EBUSY', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw new CenoteError('failed', `${root} cannot be removed`, { cause: error });
  }
  return [];
};
