/**
 * A change of what a machine runs. The agent undoes a change of the specification that does not come up healthy; with `--code` this
 * command takes a snapshot first and brings the machine back to it, so that the update is undone as a whole.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError, messageOf } from '../../base/errors.ts';
import type { Accepted, Machine, UpdateMachine } from '../../model/control-api.ts';
import { defineCommand, many, one, parsed, toggle } from '../command.ts';
import type { Context } from '../context.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import { pairsToRecord, parseSwitch } from '../values.ts';
import { checkWords } from './check-words.ts';
import { checkCode, copyCode } from './code.ts';
import { createFlags, environmentOf } from './create-machine.ts';
import type { CreateFlags } from './create-machine.ts';

const word = (_field: string, text: string): string => text;
const { image, platform, code, env, envFile, publish, tag, restart, stopGrace } = createFlags;
const flags = {
  firewall: parsed('on|off', parseSwitch, 'whether firewall rules are applied to it', { complete: ['on', 'off'] }),
  image: { ...image, about: 'name or id of another image' },
  platform: { ...platform, about: 'the operating system to run on' },
  code: { ...code, about: 'copy this directory over /app' },
  env: { ...env, about: 'set an environment variable; others stay' },
  envFile,
  envRemove: many('NAME', word, 'take an environment variable away'),
  publish: { ...publish, about: 'publish these ports instead of those now' },
  unpublish: toggle('publish no port'),
  tag: { ...tag, about: 'set a tag; others stay' },
  tagRemove: many('TAG', word, 'take a tag away'),
  restart,
  stopGrace,
  imageCommand: toggle("run the image's own command again"),
} as const;

type UpdateFlags = Omit<CreateFlags, 'package' | 'fromSnapshot' | 'firewall'> & {
  firewall: boolean | undefined;
  envRemove: string[];
  tagRemove: string[];
  unpublish: boolean;
  imageCommand: boolean;
};

const without = <Value>(record: Record<string, Value>, names: readonly string[]): Record<string, Value> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));

const changes = async (machine: Machine, given: Pick<UpdateFlags, keyof typeof flags>, command: readonly string[]): Promise<UpdateMachine> => {
  const environment = await environmentOf(given);
  return {
    ...(given.image === undefined ? {} : { image: given.image }),
    ...(given.platform === undefined ? {} : { platform: given.platform }),
    ...(command.length > 0 ? { command: [...command] } : given.imageCommand ? { command: null } : {}),
    ...(environment === undefined && given.envRemove.length === 0 ? {} : { env: { ...without(machine.env, given.envRemove), ...environment } }),
    ...(given.tag.length === 0 && given.tagRemove.length === 0 ? {} : { tags: { ...without(machine.tags, given.tagRemove), ...pairsToRecord(given.tag) } }),
    ...(given.firewall === undefined ? {} : { firewallEnabled: given.firewall }),
    ...(given.publish.length > 0 ? { publish: given.publish } : given.unpublish ? { publish: [] } : {}),
    ...(given.restart === undefined ? {} : { restart: given.restart }),
    ...(given.stopGrace === undefined ? {} : { stopGraceSeconds: given.stopGrace }),
  };
};

export const command = defineCommand({
  detail:
    'Its data stays. When what is new does not come up healthy, all is as before; without a health check in the image, it has come up when its program has run for its first 1.5 s. CPU, memory and disk are changed with resize.',
  args: { name: one('NAME', 'machine') },
  flags,
  trailing: 'after-dashes',
  examples: [
    'update web --image node --env LEVEL=debug',
    'update web --code ./app',
    'update web --publish 80:3000 --restart always',
    'update web -- node other.js',
  ],
  run: async ({ args, flags: given, command: words }, context) => {
    if (given.code !== undefined) await checkCode(given.code);
    const machine = await selectMachine(context, args.name);
    const body = await changes(machine, given, words);
    for (const name of given.envRemove) if (!Object.hasOwn(machine.env, name)) context.output.note(`${machine.name} has no variable ${name} to remove`);
    for (const name of given.tagRemove) if (!Object.hasOwn(machine.tags, name)) context.output.note(`${machine.name} has no tag ${name} to remove`);
    if (Object.keys(body).length === 0 && given.code === undefined)
      throw new CenoteError('invalid_argument', 'nothing to change', { advice: 'see what can be with --help' });
    using progress = context.output.progress(`updating ${machine.name}`);
    const accepted = given.code === undefined ? await apply(context, machine, body) : await withCode(context, machine, body, given.code);
    progress.update('');
    if (given.json) context.output.json(accepted);
    else context.output.line(`updated ${machine.name} in ${jobMilliseconds(accepted.job)} ms`);
  },
});

/** The specification, or with new code alone a restart of what runs. */
const apply = async (context: Context, machine: Machine, body: UpdateMachine): Promise<Accepted> => {
  const control = await context.control();
  const waiting = { doing: `updating ${machine.name}`, machine: machine.name };
  if (Object.keys(body).length > 0) return finishJob(context, waiting, (options) => control.machineUpdate(machine.id, body, options));
  const accepted = await finishJob(context, waiting, (options) => control.machineReboot(machine.id, {}, options));
  return { ...accepted, machine: await healthy(context, machine) };
};

const pollMs = 100;
/** A program that fails at its start does so within this; the agent holds it so too. */
const settleMs = 1500;

/** Until the machine's health check has spoken; without one, until it has run for a moment. */
const healthy = async (context: Context, machine: Machine): Promise<Machine> => {
  const control = await context.control();
  const from = Date.now();
  for (;;) {
    const now = await control.machineGet(machine.id, { signal: context.signal });
    if (now.state !== 'running' || now.health === 'unhealthy' || now.restarts > 0) {
      throw new CenoteError(
        'failed',
        `${now.name} did not come up with the new code: ${now.error ?? now.exit?.reason ?? (now.healthCheck === undefined ? `it is ${now.state}` : `its health check failed: ${checkWords(now.healthCheck)}`)}`,
      );
    }
    if (now.health === 'healthy' || (now.health === 'none' && Date.now() - from >= settleMs)) return now;
    await sleep(pollMs, undefined, { signal: context.signal });
  }
};

const withCode = async (context: Context, machine: Machine, body: UpdateMachine, directory: string): Promise<Accepted> => {
  const control = await context.control();
  const before = `before-update-${new Date().toISOString().replaceAll(/[-:.]/g, '')}`;
  await finishJob(context, { doing: `snapshotting ${machine.name}`, machine: machine.name }, (options) =>
    control.snapshotCreate(machine.id, { name: before }, options),
  ).catch((error: unknown) => {
    throw new CenoteError(
      error instanceof CenoteError ? error.code : 'failed',
      `nothing was changed: the snapshot to come back to cannot be made: ${messageOf(error)}`,
      { cause: error },
    );
  });
  let undone = false;
  try {
    await copyCode(context, machine.id, directory);
    // A stopped machine has its new code; it is not started for it.
    if (machine.state !== 'running' && Object.keys(body).length === 0) {
      const [job] = await control.machineJobs(machine.id, { signal: context.signal });
      return { job: job!, machine: await control.machineGet(machine.id, { signal: context.signal }) };
    }
    return await apply(context, machine, body);
  } catch (error) {
    undone = true;
    const back = await control.snapshotRollback(machine.id, before, { wait: 60 }).catch((failure: unknown) => failure);
    const failed = back instanceof Error ? messageOf(back) : (back as Accepted).job.state === 'failed' ? (back as Accepted).job.reason : undefined;
    if (failed !== undefined)
      throw new CenoteError('failed', `${messageOf(error)}; and it could not be brought back to ${machine.name}@${before}: ${failed}`, { cause: error });
    throw new CenoteError('failed', `${messageOf(error)}; all is as before`, { cause: error, advice: `its output: cenote logs ${machine.name}` });
  } finally {
    await control
      .snapshotDelete(machine.id, before, { wait: undone ? 60 : 20 })
      .catch(() => context.output.note(`the snapshot ${machine.name}@${before} is left`));
  }
};
