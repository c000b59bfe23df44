/** What start, stop, reboot and delete share: pick machines, ask for `--yes` when they are many, act on some at a time, report each. */
import { asCenoteError, errorCodes } from '../../base/errors.ts';
import type { Accepted, Machine } from '../../model/control-api.ts';
import { toggle } from '../command.ts';
import { Interrupted, interruptedExit } from '../context.ts';
import type { Context } from '../context.ts';
import { finishJob, jobMilliseconds, noWait } from '../jobs.ts';
import { isGlob, selectMachines, wantYes } from '../select.ts';

const atOnce = 16;

export const manyFlags = {
  yes: toggle('do it also to more than one machine', { short: 'y' }),
  noWait,
} as const;

export interface Action {
  /** `stop`, `stopping`, `stopped`. */
  words: readonly [verb: string, doing: string, done: string];
  ask: (machine: Machine, options: { wait?: number; signal: AbortSignal }) => Promise<Accepted>;
}

/** The exit status is that of the first failure; one machine's failure does not keep the others from being done. */
export const actOnMany = async (
  context: Context,
  names: readonly string[],
  flags: { yes: boolean; noWait: boolean; json: boolean },
  action: Action,
): Promise<number> => {
  const { output, signal } = context;
  const [verb, doing, done] = action.words;
  const machines = await selectMachines(context, names);
  wantYes(verb, names, machines, flags.yes);
  using progress = output.progress(`${doing} ${machines.length === 1 ? machines[0]!.name : `${machines.length} machines`}`);
  const results: (Accepted | undefined)[] = [];
  let exit = 0;
  let finished = 0;
  const act = async (machine: Machine, index: number): Promise<void> => {
    try {
      const accepted = flags.noWait
        ? await action.ask(machine, { signal })
        : await finishJob(context, { doing: `${doing} ${machine.name}`, machine: machine.name }, (options) => action.ask(machine, options));
      results[index] = accepted;
      if (!flags.json)
        output.line(flags.noWait ? `${doing} ${machine.name}: job ${accepted.job.id}` : `${done} ${machine.name} in ${jobMilliseconds(accepted.job)} ms`);
    } catch (error) {
      const known = asCenoteError(error);
      output.error(known);
      if (exit === 0) exit = known instanceof Interrupted ? interruptedExit : errorCodes[known.code].exit;
    }
    progress.update(`${doing} ${machines.length} machines: ${++finished} ${done}`);
  };
  const queue = machines.entries();
  const worker = async (): Promise<void> => {
    for (const [index, machine] of queue) {
      if (signal.aborted) return;
      await act(machine, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, machines.length) }, worker));
  if (flags.json) {
    const accepted = results.filter((result) => result !== undefined);
    const single = names.length === 1 && !isGlob(names[0]!);
    if (!single) output.json(accepted);
    else if (accepted[0] !== undefined) output.json(accepted[0]);
  }
  return exit;
};
