/** A change of what a machine runs. The agent undoes one that does not come up healthy. */
import { CenoteError } from '../../base/errors.ts';
import type { Accepted, Machine, UpdateMachine } from '../../model/control-api.ts';
import { defineCommand, many, one, parsed, toggle } from '../command.ts';
import { Interrupted } from '../context.ts';
import type { Context } from '../context.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import { pairsToRecord, parseSwitch } from '../values.ts';
import { checkCode, packCode } from './code.ts';
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
    const accepted = await apply(context, machine, body, given.code);
    progress.update('');
    if (given.json) context.output.json(accepted);
    else context.output.line(`updated ${machine.name} in ${jobMilliseconds(accepted.job)} ms`);
  },
});

/** One action, and the host undoes it as a whole. */
const apply = async (context: Context, machine: Machine, body: UpdateMachine, code: string | undefined): Promise<Accepted> => {
  const control = await context.control();
  const waiting = { doing: `updating ${machine.name}`, machine: machine.name };
  if (code === undefined) return finishJob(context, waiting, (options) => control.machineUpdate(machine.id, body, options));
  const content = await packCode(context, code);
  try {
    return await finishJob(context, waiting, ({ signal }) => control.machineUpdateWithCode(machine.id, body, content, { signal }));
  } catch (error) {
    if (context.signal.aborted && !content.readableEnded)
      throw new Interrupted(`interrupted while copying ${code}; ${machine.name} stays as it was`, 'say it again to update it');
    throw error;
  }
};
