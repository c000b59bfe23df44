import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../model/control-api.ts';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { defineCommand, optional, toggle } from '../command.ts';
import { interruptedExit } from '../context.ts';
import type { Context } from '../context.ts';
import { createFlags, createMachine } from './create-machine.ts';
import { followLogs } from './follow.ts';

const pollMs = 150;
const typing = 'run only shows output; to type: cenote create NAME …, then cenote exec -it NAME -- sh';
const detached = 'cenote create makes a machine, starts it and returns';

export const command = defineCommand({
  detail: 'The machine is not restarted when it ends, unless --restart says so. Ctrl-C stops it.',
  args: { name: optional('NAME') },
  flags: { ...createFlags, rm: toggle('delete the machine afterwards') },
  otherFlags: {
    '-i': typing,
    '--interactive': typing,
    '--tty': typing,
    '-d': detached,
    '--detach': detached,
    '--name': 'the name is an argument: cenote run NAME …',
  },
  trailing: 'after-dashes',
  examples: ['run --rm -- cat /etc/os-release', 'run job --code ./job --env N=3 -- node main.js'],
  run: async ({ args, flags, command: words }, context) => {
    const wanted = { name: args.name, flags, command: words, start: true, restart: { policy: 'never' as const, maxRetries: null } };
    const accepted = await createMachine(context, wanted).catch(async (error: unknown) => {
      // Its start failed; what is left of it is not wanted either.
      const made = error instanceof CenoteError && error.context['action'] === 'create' ? error.context['machine'] : undefined;
      if (flags.rm && typeof made === 'string') await remove(context, { id: made, name: args.name ?? made });
      throw error;
    });
    const machine = accepted.machine!;
    try {
      const ended = await followToEnd(context, machine, flags.json);
      if (ended === undefined) {
        const control = await context.control();
        context.output.note(`stopping ${machine.name}`);
        await control.machineStop(machine.id, {}, { wait: 30 });
        return interruptedExit;
      }
      if (flags.json) context.output.jsonLine(ended);
      else if (args.name === undefined && !flags.rm)
        context.output.note(`${machine.name} stays; see it with: cenote get ${machine.name} (--rm would have deleted it)`);
      if (ended.exit?.outOfMemory === true || ended.exit === null)
        context.output.note(`cenote: ${machine.name}: ${ended.exit?.reason ?? ended.error ?? ended.state}`);
      return ended.exit?.code ?? 1;
    } finally {
      if (flags.rm) await remove(context, machine);
    }
  },
});

/** Also after Ctrl-C, so without the command's signal. */
const remove = async (context: Context, machine: Pick<Machine, 'id' | 'name'>): Promise<void> => {
  const control = await context.control();
  try {
    await control.machineDelete(machine.id, { wait: 30 });
  } catch (error) {
    context.output.note(`cenote: ${machine.name} could not be deleted: ${messageOf(error)}`);
  }
};

/** Shows the output until the machine is at rest; undefined when Ctrl-C came first. */
const followToEnd = async (context: Context, machine: Machine, json: boolean): Promise<Machine | undefined> => {
  const control = await context.control();
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  const following = followLogs(context, machine.id, { follow: true, json, signal });
  const atRest = async (): Promise<Machine> => {
    for (;;) {
      const now = await control.machineGet(machine.id, { signal: context.signal });
      if (now.state === 'stopped' || now.state === 'failed') return now;
      await sleep(pollMs, undefined, { signal: context.signal });
    }
  };
  try {
    const ended = await Promise.race([atRest(), following.then(atRest)]);
    stop.abort();
    // The stream was cut where it was; what it had not yet shown is read to the end.
    const skip = await following;
    await followLogs(context, machine.id, { follow: false, json, skip, signal: context.signal });
    return ended;
  } catch (error) {
    if (context.signal.aborted) return undefined;
    throw error;
  } finally {
    stop.abort();
  }
};
