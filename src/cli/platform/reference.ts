/** `NAME@VERSION` of platforms, and which versions there are. Pure. */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Platform, PlatformRef } from '../../model/image.ts';

export const formatPlatform = (platform: PlatformRef): string => `${platform.name}@${platform.version}`;

export const parsePlatform = (field: string, text: string): { name: string; version: string | undefined } => {
  const [name, version, ...more] = text.split('@');
  if (name === '' || version === '' || more.length > 0) throw invalid(field, `${JSON.stringify(text)} is not NAME or NAME@VERSION`);
  return { name: name!, version };
};

const versionNumber = (platform: PlatformRef): number => (platform.version === 'live' ? 0 : Number(platform.version));

/** Oldest first. */
export const versionsOf = (platforms: readonly Platform[], name: string): Platform[] =>
  platforms.filter((platform) => platform.name === name).toSorted((one, other) => versionNumber(one) - versionNumber(other));

export const newestOf = (platforms: readonly Platform[], name: string): Platform => {
  const newest = versionsOf(platforms, name).at(-1);
  if (newest === undefined) throw new CenoteError('not_found', `no platform ${JSON.stringify(name)}`, { advice: 'see what there is: cenote platform ls' });
  return newest;
};

/** The version before this one that is still there. */
export const versionBefore = (platforms: readonly Platform[], current: PlatformRef): Platform | undefined =>
  versionsOf(platforms, current.name).findLast((platform) => versionNumber(platform) < versionNumber(current));
