/** From flags to a machine, for create and run. Everything that can be refused is refused before a machine is made. */
import { CenoteError, messageOf } from '../../base/errors.ts';
import type { Accepted, CreateMachine } from '../../model/control-api.ts';
import type { RestartPolicy } from '../../model/machine.ts';
import { checkMachineName } from '../../model/names.ts';
import { many, parsed, toggle, value } from '../command.ts';
import type { Flags, FlagValue } from '../command.ts';
import type { Context } from '../context.ts';
import { parseGrace } from '../format.ts';
import { finishJob } from '../jobs.ts';
import { parseNic } from '../network/values.ts';
import { readText, readValue } from '../read-text.ts';
import { selectMachine } from '../select.ts';
import { pairsToRecord, parseEnv, parseEnvFile, parseMetadata, parsePublish, parseRestart, parseSnapshotRef, parseTag } from '../values.ts';
import { checkCode, copyCode } from './code.ts';
import { noteUnheldNetwork } from './network-note.ts';
import { givenResources, resourceFlags } from './resource-flags.ts';

export const createFlags = {
  image: value('IMAGE', 'name or id of the image (default base)', { complete: 'image' }),
  platform: value('NAME[@VERSION]', 'the operating system to run on (default host)', { complete: 'platform' }),
  package: value('PACKAGE', 'take guarantees and ceilings from a package', { complete: 'package' }),
  ...resourceFlags,
  code: value('DIR', 'copy this directory into /app before the first start', { complete: 'directory' }),
  env: many('K=V', parseEnv, 'environment variable', { short: 'e' }),
  envFile: value('FILE', 'environment variables, one K=V a line', { complete: 'file' }),
  publish: many('[HOST:]PORT[/udp]', parsePublish, "publish the machine's PORT at the host's port (the same, if it is not said), on all the host's addresses", {
    short: 'p',
  }),
  network: many('NETWORK[=ADDRESS]', parseNic, 'be on this network; the first named is primary (default the account’s default network)', {
    complete: 'network',
  }),
  tag: many('K=V', parseTag, 'tag', { short: 't' }),
  metadata: many('K=V', parseMetadata, 'metadata, seen inside; V may be @FILE', { short: 'm' }),
  script: value('FILE', 'run this inside, as root, at every start: metadata user-script', { complete: 'file' }),
  firewall: toggle('apply firewall rules to it: nothing comes in that none allows'),
  restart: parsed('POLICY', parseRestart, 'always, on-failure[:N] or never', { complete: ['always', 'on-failure', 'never'] }),
  fromSnapshot: parsed('MACHINE@SNAPSHOT', parseSnapshotRef, "begin with a snapshot's data, and be as its machine is in all that is not said here", {
    complete: 'snapshot',
  }),
  stopGrace: parsed('TIME', parseGrace, 'time between the stop signal and the kill, such as 10s'),
} as const satisfies Flags;
export const startFlags = { noStart: toggle('leave it stopped') } as const;

export type CreateFlags = { [K in keyof typeof createFlags]: FlagValue<(typeof createFlags)[K]> };

export const environmentOf = async (flags: Pick<CreateFlags, 'env' | 'envFile'>): Promise<Record<string, string> | undefined> => {
  const fromFile = flags.envFile === undefined ? [] : parseEnvFile('--env-file', await readText('--env-file', flags.envFile));
  const pairs = [...fromFile, ...flags.env];
  return pairs.length === 0 ? undefined : pairsToRecord(pairs);
};

const metadataOf = async (flags: Pick<CreateFlags, 'metadata' | 'script'>): Promise<Record<string, string> | undefined> => {
  const given = await Promise.all(flags.metadata.map(async ([key, value]) => [key, await readValue('--metadata', value)] as const));
  const pairs = flags.script === undefined ? given : [...given, ['user-script', await readText('--script', flags.script)] as const];
  return pairs.length === 0 ? undefined : pairsToRecord(pairs);
};

const request = async (context: Context, name: string | undefined, flags: CreateFlags, command: readonly string[]): Promise<CreateMachine> => {
  const resources = givenResources(flags);
  const given = await environmentOf(flags);
  const metadata = await metadataOf(flags);
  const { fromSnapshot } = flags;
  const source = fromSnapshot === undefined ? undefined : await selectMachine(context, fromSnapshot.machine);
  // Single variables are set beside those of the source, as `update` does.
  const env = given === undefined ? undefined : { ...source?.env, ...given };
  return {
    ...(name === undefined ? {} : { name: checkMachineName('NAME', name) }),
    ...(flags.image === undefined ? {} : { image: flags.image }),
    ...(flags.platform === undefined ? {} : { platform: flags.platform }),
    ...(flags.package === undefined ? {} : { package: flags.package }),
    ...(resources === undefined ? {} : { resources }),
    ...(command.length === 0 ? {} : { command: [...command] }),
    ...(env === undefined ? {} : { env }),
    ...(flags.tag.length === 0 ? {} : { tags: pairsToRecord(flags.tag) }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(flags.firewall ? { firewallEnabled: true } : {}),
    ...(flags.network.length === 0 ? {} : { networks: flags.network }),
    ...(flags.publish.length === 0 ? {} : { publish: flags.publish }),
    ...(flags.restart === undefined ? {} : { restart: flags.restart }),
    ...(flags.stopGrace === undefined ? {} : { stopGraceSeconds: flags.stopGrace }),
    ...(fromSnapshot === undefined || source === undefined ? {} : { fromSnapshot: { machine: source.id, name: fromSnapshot.name } }),
  };
};

export interface NewMachine {
  name: string | undefined;
  flags: CreateFlags;
  command: readonly string[];
  start: boolean;
  restart?: RestartPolicy;
}

/** Makes it, with its code when asked for, and starts it; what was made for a start that could not come is deleted again. */
export const createMachine = async (context: Context, wanted: NewMachine): Promise<Accepted> => {
  const { flags } = wanted;
  if (flags.code !== undefined) await checkCode(flags.code);
  const body = await request(context, wanted.name, flags, wanted.command);
  if (wanted.restart !== undefined) body.restart ??= wanted.restart;
  await noteUnheldNetwork(context, flags.net);
  const control = await context.control();
  const named = wanted.name ?? 'a machine';
  using progress = context.output.progress(`creating ${named}`);
  const created = await finishJob(context, { doing: `creating ${named}`, machine: wanted.name ?? '' }, (options) =>
    control.machineCreate({ ...body, start: wanted.start && flags.code === undefined }, options),
  );
  const { code } = flags;
  if (code === undefined) return created;
  const machine = created.machine!;
  try {
    await copyCode(context, machine.id, code);
  } catch (error) {
    // Not the command's signal: it may be what ended the copy.
    await control
      .machineDelete(machine.id, { wait: 20 })
      .catch((undone: unknown) => context.output.note(`${machine.name} could not be deleted again: ${messageOf(undone)}`));
    if (context.signal.aborted) throw new CenoteError('failed', `interrupted while copying ${code}; ${machine.name} was deleted again`);
    throw error;
  }
  if (!wanted.start) return { ...created, machine: await control.machineGet(machine.id, { signal: context.signal }) };
  progress.update(`starting ${machine.name}`);
  return await finishJob(context, { doing: `starting ${machine.name}`, machine: machine.name }, (options) => control.machineStart(machine.id, options));
};
