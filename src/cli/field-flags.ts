/** A refusal names the field of the API; who typed a flag or an argument is told that. */
import { CenoteError } from '../base/errors.ts';
import { flagName } from './command.ts';
import type { AnyCommand } from './command.ts';

/** Flags and arguments that a field may have come from; the command has one of them. */
const keysOf: Readonly<Record<string, readonly string[]>> = {
  name: ['name'],
  description: ['description'],
  image: ['image'],
  platform: ['platform'],
  package: ['package'],
  'resources.cpuMillis': ['cpu'],
  'resources.cpuCeilingMillis': ['cpuCeiling'],
  'resources.burst': ['cpuBurst'],
  'resources.memoryMib': ['memory'],
  'resources.memoryCeilingMib': ['memoryCeiling'],
  'resources.diskMib': ['disk'],
  'resources.processes': ['processes'],
  'resources.ioWeight': ['ioWeight'],
  'resources.ioReadMibps': ['ioRead'],
  'resources.ioWriteMibps': ['ioWrite'],
  'resources.ioReadIops': ['ioReadOps'],
  'resources.ioWriteIops': ['ioWriteOps'],
  'resources.networkMbps': ['net'],
  'resources.networkCeilingMbps': ['netCeiling'],
  command: ['command'],
  env: ['env'],
  tags: ['tag', 'tags'],
  metadata: ['metadata', 'values'],
  restart: ['restart'],
  publish: ['publish'],
  networks: ['network', 'networks'],
  network: ['network'],
  address: ['address'],
  stopGraceSeconds: ['stopGrace'],
  graceSeconds: ['grace'],
  'fromSnapshot.machine': ['fromSnapshot'],
  'fromSnapshot.name': ['fromSnapshot'],
  fromMachine: ['fromMachine'],
  subnet: ['subnet'],
  gateway: ['gateway', 'noGateway'],
  rangeFirst: ['range'],
  rangeLast: ['range'],
  routes: ['route'],
  resolvers: ['resolver'],
  internetNat: ['nat', 'noNat'],
  vlan: ['vlan'],
  mtu: ['mtu'],
  owners: ['owner'],
  public: ['public'],
  device: ['device'],
  tag: ['tag'],
  global: ['global'],
  rule: ['rule', 'text'],
  include: ['include'],
  key: ['file'],
  keys: ['key'],
  'profile.email': ['email'],
  'quota.machines': ['maxMachines'],
  'quota.cpuMillis': ['maxCpu'],
  'quota.memoryMib': ['maxMemory'],
  'quota.diskMib': ['maxDisk'],
};

type Described = Pick<AnyCommand, 'flags' | 'args'>;

/** `publish.0.hostPort` is about `--publish` too; `request.config.Cmd` is about what stands in the file of `--config`. */
const wordOf = (field: string, { flags, args }: Described): string | undefined => {
  if (field.startsWith('request.config.') && Object.hasOwn(flags, 'config')) return `--config: ${field.slice('request.config.'.length)}`;
  for (let path = field.replace(/^request\./, ''); path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('.')))) {
    for (const key of Object.hasOwn(keysOf, path) ? keysOf[path]! : []) {
      if (Object.hasOwn(flags, key)) return flagName(key);
      if (Object.hasOwn(args, key)) return args[key]!.placeholder;
    }
  }
  return undefined;
};

/** Where a message speaks of a field it does so at its beginning, or at that of a part of it; perhaps without what the field is in. */
const renamed = (message: string, field: string, word: string): string => {
  for (const name of [field, field.slice(field.lastIndexOf('.') + 1)]) {
    if (message.startsWith(`${name}: `)) return word + message.slice(name.length);
    if (message.includes(`; ${name}: `)) return message.replace(`; ${name}: `, `; ${word}: `);
  }
  return message;
};

export const inFlags = (error: CenoteError, command: Described): CenoteError => {
  let { message } = error;
  for (const { field } of error.fields) {
    const word = wordOf(field, command);
    if (word !== undefined) message = renamed(message, field, word);
  }
  if (message === error.message) return error;
  const { fields, advice, context, cause } = error;
  return new CenoteError(error.code, message, { fields, advice, context, cause });
};
