/**
 * Before other trees are put beneath a machine's volume: its data becomes its own, whole. A data directory that came with the system (a
 * database made when the package was installed) is partly in the volume, where the machine has written, and partly still below. With
 * another tree below, halves of two databases would meet. So what is below is copied up where the machine has written
 * anything; directories it never touched are the system's, and change with it.
 *
 * The machine must be at rest. Its volume is not to be trusted: no link in it is followed.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../exec/run.ts';
import { isErrno } from '../../sys/libc.ts';

export interface CarryRequest {
  upper: string;
  /** The machine's root as it is, mounted read-only: tells what of the lower trees it has removed. */
  merged: string;
  /** What is beneath it now, topmost first. */
  lowers: readonly string[];
}

/** Each directory in these is one program's data. */
const dataDirectories = ['var/lib', 'var/spool', 'var/opt'];
/** What is said there is true of the system, not of the machine. */
const systemsOwn = new Set(['var/lib/dpkg', 'var/lib/apt', 'var/lib/ucf', 'var/lib/systemd', 'var/lib/pam', 'var/lib/misc']);
const copyTimeoutMs = 600_000;
const filesAtOnce = 500;

/** Copies share their blocks with the tree they come from where the pool can do that. Repeating it does nothing. */
export const carryData = async (request: CarryRequest, signal?: AbortSignal): Promise<string[]> => {
  const carried: string[] = [];
  for (const parent of dataDirectories) {
    if (!(await isReal(request.upper, parent))) continue;
    for (const name of await readdir(join(request.upper, parent))) {
      const path = `${parent}/${name}`;
      if (!systemsOwn.has(path) && (await kindOf(join(request.upper, path))) === 'directory') await carry(request, path, carried, signal);
    }
  }
  return carried;
};

const carry = async (request: CarryRequest, path: string, carried: string[], signal: AbortSignal | undefined): Promise<void> => {
  const { upper, merged, lowers } = request;
  for (const lower of lowers) {
    if ((await kindOf(join(lower, path))) !== 'directory') continue;
    const missing: string[] = [];
    for (const name of await readdir(join(lower, path))) {
      const below = `${path}/${name}`;
      const mine = await kindOf(join(upper, below));
      if (mine === 'directory') await carry(request, below, carried, signal);
      if (mine === 'none' && (await kindOf(join(merged, below))) !== 'none') missing.push(below);
    }
    // Many at a time: a database's directories have hundreds of files.
    for (let at = 0; at < missing.length; at += filesAtOnce) {
      const some = missing.slice(at, at + filesAtOnce);
      const words = ['--archive', '--reflink=auto', '--target-directory', join(upper, path), '--', ...some.map((below) => join(lower, below))];
      await run('cp', words, { timeoutMs: copyTimeoutMs, signal });
      carried.push(...some.map((below) => `/${below}`));
    }
  }
};

/** A path of directories that are none of them links. */
const isReal = async (root: string, path: string): Promise<boolean> => {
  let at = root;
  for (const part of path.split('/')) if ((await kindOf((at = join(at, part)))) !== 'directory') return false;
  return true;
};

const kindOf = async (path: string): Promise<'none' | 'directory' | 'other'> => {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return 'none';
    throw error;
  }
};
