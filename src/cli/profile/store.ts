/**
 * Profiles: control planes elsewhere, each a file of its owner's alone in ~/.config/cenote/profiles, and beside them the name of the one that is
 * used when none is named.
 */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Trust } from '../../client/remote.ts';
import type { KeySource } from '../../client/signer.ts';
import { localProfile } from '../config.ts';
import type { CliConfig } from '../config.ts';
import { closest } from '../suggest.ts';
import { whyNot } from '../why-not.ts';

export interface Profile {
  url: string;
  account: string;
  /** One of the account's users; absent: the account itself. */
  user?: string | undefined;
  key: KeySource;
  trust: Trust;
}

type Places = Pick<CliConfig, 'profiles'>;

const fileOf = ({ profiles }: Places, name: string): string => `${profiles}/profiles/${name}.json`;
const chosenFile = ({ profiles }: Places): string => `${profiles}/profile`;

export const checkProfileName = (field: string, name: string): string => {
  if (name === localProfile) throw invalid(field, `${localProfile} is this host itself, without a profile`);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(name))
    throw invalid(field, `${JSON.stringify(name.slice(0, 80))} is not a name`, 'letters, digits and _ . -, at most 63');
  return name;
};

/** The profile that this command is for; undefined for the instance on this host. Read by every command, so by the quickest way. */
export const chosenProfile = (config: CliConfig): string | undefined => {
  const name = config.profile ?? (config.here ? undefined : usedProfile(config));
  return name === undefined || name === localProfile ? undefined : checkProfileName(config.profile === undefined ? chosenFile(config) : '--profile', name);
};

/** That of `profile use`. */
export const usedProfile = (config: Places): string | undefined => {
  try {
    return readFileSync(chosenFile(config), 'utf8').trim() || undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw new CenoteError('failed', `${chosenFile(config)} cannot be read: ${whyNot(error)}`, { cause: error });
  }
};

export const profileNames = async ({ profiles }: Places): Promise<string[]> => {
  const files = await readdir(`${profiles}/profiles`).catch(() => []);
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .toSorted();
};

export const profileGet = async (config: Places, name: string): Promise<Profile> => {
  const path = fileOf(config, checkProfileName('NAME', name));
  const text = await readFile(path, 'utf8').catch(async (cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw new CenoteError('failed', `${path} cannot be read: ${whyNot(cause)}`, { cause });
    const near = closest(name, await profileNames(config));
    const advice = near === undefined ? 'see what there is: cenote profile ls' : `did you mean ${near}?`;
    throw new CenoteError('not_found', `there is no profile ${JSON.stringify(name)}`, { cause, advice });
  });
  try {
    const profile = JSON.parse(text) as Profile;
    if (typeof profile.url === 'string' && typeof profile.account === 'string' && typeof profile.key === 'object' && typeof profile.trust === 'object')
      return profile;
  } catch {
    // Said below.
  }
  throw new CenoteError('failed', `${path} is not a profile`, { advice: `delete it and create it again: cenote profile delete ${name}` });
};

export const profileSave = async (config: Places, name: string, profile: Profile): Promise<void> => {
  await mkdir(`${config.profiles}/profiles`, { recursive: true, mode: 0o700 });
  await replace(fileOf(config, name), `${JSON.stringify(profile, undefined, 2)}\n`);
};

/** Undefined: none any more. */
export const profileUse = async (config: Places, name: string | undefined): Promise<void> => {
  if (name === undefined) return rm(chosenFile(config), { force: true });
  await mkdir(config.profiles, { recursive: true, mode: 0o700 });
  return replace(chosenFile(config), `${name}\n`);
};

export const profileDelete = async (config: Places, name: string): Promise<void> => {
  await profileGet(config, name).catch((error: unknown) => {
    if (error instanceof CenoteError && error.code === 'failed') return;
    throw error;
  });
  await rm(fileOf(config, name), { force: true });
  if (usedProfile(config) === name) await profileUse(config, undefined);
};

const replace = async (path: string, text: string): Promise<void> => {
  const next = `${path}.${process.pid}`;
  try {
    await writeFile(next, text, { mode: 0o600, flush: true });
    await rename(next, path);
  } catch (cause) {
    await rm(next, { force: true });
    throw new CenoteError('failed', `${path} cannot be written: ${whyNot(cause)}`, { cause });
  }
};
