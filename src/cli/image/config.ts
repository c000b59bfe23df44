/**
 * The file of `--config`: an image configuration as image tools write it. That is an OCI one, whole or its `config` object, or what
 * `docker inspect` prints of one image or container, which is an array around `Config`.
 */
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
  'OpenStdin',
  'Shell',
  'StdinOnce',
  'Tty',
]);

/** What the image's maker meant something by that machines do differently: left away too, and told. */
const toldWhenLeftAway: Readonly<Record<string, string>> = {
  NetworkDisabled: 'say what networks a machine is on with `create --network`',
  OnBuild: 'nothing is built on an image here',
  StopTimeout: 'say it with `create --stop-grace`',
  Volumes: "what is written there is on the machine's own disk",
};

export interface ReadConfig {
  config: ImageConfig;
  /** A line each, for the reader: what the file says and the image will not. */
  notes: string[];
}

/** Only the shape is looked at here; the API checks every key. */
export const parseConfig = (path: string, text: string): ReadConfig => {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch (error) {
    throw invalid('--config', `${path} is not JSON: ${messageOf(error)}`);
  }
  const written = innerConfig(path, onlyOne(path, whole));
  const notes: string[] = [];
  const leave = (key: string, what: unknown, why: string): void => void notes.push(`left away ${key}${namesIn(what)}: ${why}`);
  const config: Record<string, unknown> = {};
  for (const [key, said] of Object.entries(written)) {
    // These tools write null for what is not set.
    if (said === null || withoutEffect.has(key)) continue;
    const why = Object.hasOwn(toldWhenLeftAway, key) ? toldWhenLeftAway[key] : undefined;
    if (why === undefined) config[key] = said;
    else if (!isEmpty(said)) leave(key, said, why);
  }
  if (isObject(config.Healthcheck)) {
    const { StartInterval: interval, ...check } = config.Healthcheck;
    if (!isEmpty(interval)) leave('Healthcheck.StartInterval', undefined, 'a machine is asked more often while it starts in any case');
    config.Healthcheck = check;
  }
  return { config, notes };
};

const onlyOne = (path: string, whole: unknown): unknown => {
  if (!Array.isArray(whole)) return whole;
  if (whole.length > 1) throw invalid('--config', `${path} describes ${whole.length} images`, 'let it be one: docker inspect IMAGE');
  return whole[0];
};

const innerConfig = (path: string, whole: unknown): Record<string, unknown> => {
  const inner = isObject(whole) ? ['Config', 'config'].filter((key) => Object.hasOwn(whole, key)).map((key) => whole[key] ?? {})[0] : undefined;
  const config = inner ?? whole;
  if (isObject(config)) return config;
  throw invalid(
    '--config',
    `${path} is not an image configuration`,
    'it is what `docker inspect IMAGE` prints, an OCI image configuration, or its "config" object alone',
  );
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === false || value === 0 || (typeof value === 'object' && Object.keys(value).length === 0);

const namesIn = (value: unknown): string => (isObject(value) ? ` (${Object.keys(value).join(', ')})` : '');
