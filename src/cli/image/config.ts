/** The file of `--config`: an OCI image configuration, as image tools write it. */
import { invalid, messageOf } from '../../base/errors.ts';
import type { ImageConfig } from '../../model/image.ts';

/**
 * What Docker and its kin write into `config` beside what OCI names. It is about building, or about a run of theirs that their own command
 * line decides anew each time, so nothing of the image is lost without it.
 */
const withoutEffect = new Set([
  'ArgsEscaped',
  'AttachStderr',
  'AttachStdin',
  'AttachStdout',
  'Domainname',
  'Hostname',
  'Image',
  'MacAddress',
  'OnBuild',
  'OpenStdin',
  'Shell',
  'StdinOnce',
  'Tty',
]);

/** Only the shape is looked at here; the API checks every key. */
export const parseConfig = (path: string, text: string): ImageConfig => {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch (error) {
    throw invalid('--config', `${path} is not JSON: ${messageOf(error)}`);
  }
  const inner = typeof whole === 'object' && whole !== null && 'config' in whole ? whole.config : whole;
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) throw invalid('--config', `${path} is not an image configuration`);
  // These tools write null for what is not set.
  return Object.fromEntries(Object.entries(inner).filter(([key, value]) => value !== null && !withoutEffect.has(key)));
};
