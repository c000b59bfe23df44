/**
 * Machines to another version of the operating system: each is restarted on it, and stays as it was when it does not come up healthy.
 * `--roll` goes one by one and stops at the first that fails.
 */
import { asCenoteError, CenoteError, errorCodes } from '../../base/errors.ts';
import type { Accepted, Machine } from '../../model/control-api.ts';
import type { Platform, PlatformRef } from '../../model/image.ts';
import { any, defineCommand, toggle, value } from '../command.ts';
import type { Context } from '../context.ts';
import { Interrupted, interruptedExit } from '../context.ts';
import { finishJob, jobMilliseconds } from '../jobs.ts';
import { listMachines, selectMachines, wantYes } from '../select.ts';
import { formatPlatform, newestOf, parsePlatform, versionBefore } from './reference.ts';

const atOnce = 8;

export const command = defineCommand({
  detail: [
    'Without --to, each goes to the newest version of the platform it is on; with --back, to the version before its own.',
    'Data stays. Files in /etc that both the machine and the new version changed are listed; the machine keeps its own.',
  ].join('\n'),
  args: { names: any('NAME', 'machine') },
  flags: {
    all: toggle('all machines that are on a platform'),
    to: value('NAME[@VERSION]', 'this platform instead', { complete: 'platform' }),
    back: toggle('back to the version before'),
    roll: toggle('one after another, and stop at the first that fails'),
    yes: toggle('do it also to more than one machine', { short: 'y' }),
  },
  examples: ['platform update web', 'platform update --all --roll --yes', 'platform update web --back', "platform update 'web-*' --to web@3 --yes"],
  run: async ({ args, flags }, context) => {
    if (flags.all === args.names.length > 0) throw new CenoteError('invalid_argument', 'machines or --all are wanted');
    if (flags.back && flags.to !== undefined) throw new CenoteError('invalid_argument', '--back and --to do not go together');
    const selected = flags.all ? (await listMachines(context)).filter((machine) => machine.platform !== null) : await selectMachines(context, args.names);
    const platforms = await (await context.control()).platformList({ signal: context.signal });
    const moves = selected
      .map((machine) => ({ machine, target: targetOf(machine, platforms, flags) }))
      .filter(({ machine, target }) => formatPlatform(target) !== formatPlatform(machine.platform!));
    if (moves.length === 0) {
      if (flags.json) context.output.json([]);
      else context.output.note('every machine is there already');
      return 0;
    }
    wantYes(
      'restart',
      args.names,
      moves.map(({ machine }) => machine),
      flags.yes,
    );
    return moveAll(context, moves, flags);
  },
});

const targetOf = (machine: Machine, platforms: readonly Platform[], flags: { to: string | undefined; back: boolean }): PlatformRef => {
  if (machine.platform === null) throw new CenoteError('wrong_state', `${machine.name} is on no platform: its image has a userland of its own`);
  if (flags.back) {
    const before = versionBefore(platforms, machine.platform);
    if (before === undefined)
      throw new CenoteError('not_found', `there is no version before ${formatPlatform(machine.platform)}, on which ${machine.name} is`, {
        advice: 'see what there is: cenote platform ls',
      });
    return before;
  }
  if (flags.to === undefined) return newestOf(platforms, machine.platform.name);
  const { name, version } = parsePlatform('--to', flags.to);
  if (version === undefined) return newestOf(platforms, name);
  const found = platforms.find((platform) => platform.name === name && platform.version === version);
  if (found === undefined) throw new CenoteError('not_found', `no platform ${JSON.stringify(flags.to)}`, { advice: 'see what there is: cenote platform ls' });
  return found;
};

interface Move {
  machine: Machine;
  target: PlatformRef;
}

const moveAll = async (context: Context, moves: readonly Move[], flags: { roll: boolean; json: boolean }): Promise<number> => {
  const { output } = context;
  const control = await context.control();
  using progress = output.progress(`updating ${moves.length} machines`);
  const done: Accepted[] = [];
  let exit = 0;
  const move = async ({ machine, target }: Move): Promise<void> => {
    try {
      const accepted = await finishJob(context, { doing: `updating ${machine.name}`, machine: machine.name }, (options) =>
        control.machineUpdate(machine.id, { platform: formatPlatform(target) }, options),
      );
      done.push(accepted);
      if (!flags.json) report(context, machine, target, accepted);
    } catch (error) {
      const known = asCenoteError(error);
      output.error(known);
      if (exit === 0) exit = known instanceof Interrupted ? interruptedExit : errorCodes[known.code].exit;
    }
    progress.update(`updating ${moves.length} machines: ${done.length} done`);
  };
  const queue = moves.values();
  const worker = async (): Promise<void> => {
    for (const each of queue) {
      await move(each);
      if (context.signal.aborted || (flags.roll && exit !== 0)) return;
    }
  };
  await Promise.all(Array.from({ length: flags.roll ? 1 : Math.min(atOnce, moves.length) }, worker));
  if (flags.json) output.json(done);
  if (exit !== 0 && done.length < moves.length) output.note(`${done.length} of ${moves.length} machines were updated`);
  return exit;
};

const report = (context: Context, machine: Machine, target: PlatformRef, accepted: Accepted): void => {
  context.output.line(`${machine.name}: ${formatPlatform(machine.platform!)} to ${formatPlatform(target)} in ${jobMilliseconds(accepted.job)} ms`);
  const conflicts = accepted.job.result['conflicts'];
  if (Array.isArray(conflicts))
    for (const path of conflicts) context.output.line(`  ${String(path)}: changed in the machine and in the platform; the machine keeps its own`);
};
