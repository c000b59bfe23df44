/** A refusal names the field of the API; who typed a flag is told the flag. */
import { CenoteError } from '../base/errors.ts';
import { flagName } from './command.ts';
import type { Flags } from './command.ts';

const keyOf: Readonly<Record<string, string>> = {
  'resources.cpuMillis': 'cpu',
  'resources.cpuCeilingMillis': 'cpuCeiling',
  'resources.memoryMib': 'memory',
  'resources.memoryCeilingMib': 'memoryCeiling',
  'resources.diskMib': 'disk',
  'resources.processes': 'processes',
  'fromSnapshot.machine': 'fromSnapshot',
  'fromSnapshot.name': 'fromSnapshot',
  stopGraceSeconds: 'stopGrace',
  graceSeconds: 'grace',
  image: 'image',
  platform: 'platform',
  package: 'package',
  publish: 'publish',
};

/** `publish.0.hostPort` is about `--publish` too; `request.config.Cmd` is about what stands in the file of `--config`. */
const flagOf = (field: string, flags: Flags): string | undefined => {
  if (field.startsWith('request.config.') && Object.hasOwn(flags, 'config')) return `--config: ${field.slice('request.config.'.length)}`;
  for (let path = field; path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('.')))) {
    const key = Object.hasOwn(keyOf, path) ? keyOf[path]! : undefined;
    if (key !== undefined) return Object.hasOwn(flags, key) ? flagName(key) : undefined;
  }
  return undefined;
};

export const inFlags = (error: CenoteError, flags: Flags): CenoteError => {
  const field = error.fields[0]?.field;
  const flag = field === undefined ? undefined : flagOf(field, flags);
  if (flag === undefined || !error.message.startsWith(`${field}: `)) return error;
  const { fields, advice, context, cause } = error;
  return new CenoteError(error.code, `${flag}: ${error.message.slice(field!.length + 2)}`, { fields, advice, context, cause });
};
